"""The form of output that is the answer's wire message, for programs that know protobuf. Answers about keys only."""

from cli.output import Printer
from kvstore.client.types import (
    Answer,
    DeleteResult,
    PutResult,
    RangeResult,
    TxnResult,
    WatchBatch,
)
from kvstore.client.wire_bytes import wire_bytes


class ProtobufPrinter(Printer):
    """The bytes, and nothing around them."""

    form = "protobuf"

    def range(self, result: RangeResult) -> bytes:
        """The message."""
        return wire_bytes(result)

    def put(self, result: PutResult) -> bytes:
        """The message."""
        return wire_bytes(result)

    def delete(self, result: DeleteResult) -> bytes:
        """The message."""
        return wire_bytes(result)

    def txn(self, result: TxnResult) -> bytes:
        """The message."""
        return wire_bytes(result)

    def watch(self, batch: WatchBatch) -> bytes:
        """The message."""
        return wire_bytes(batch)

    def confirmed(self, sentence: str, result: Answer) -> bytes:
        """The message."""
        return wire_bytes(result)
