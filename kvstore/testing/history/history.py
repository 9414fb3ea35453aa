"""What happened: operations, watches, leaders, faults and digests, as facts with a time.

One record a fact, frozen, written by whoever saw it: a simulated client with virtual time or a real one with the
machine's monotonic clock. Times are seconds on one clock for the whole history; this module reads none. The
values themselves are in `records.py` and can be had from here.

On disk a history is JSON lines: a first line that names format and version, then one record a line, each with its
"type". Keys and values are base64, as in etcd's own JSON.

    history = History()
    op = history.begin("client-1", Put(b"a", b"1"), now)
    history.end(op, later, Ok(revision=7, reply=PutReply()))

`begin` reserves the id only; the record is made by `end`, and by `close` for what was still open: those have unknown
outcomes. A writer that knows both ends may `append(Operation(...))` at once.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from kvstore.testing.history.records import Compact as Compact
from kvstore.testing.history.records import Compare as Compare
from kvstore.testing.history.records import DeleteRange as DeleteRange
from kvstore.testing.history.records import DeleteReply as DeleteReply
from kvstore.testing.history.records import DigestRecord as DigestRecord
from kvstore.testing.history.records import EmptyReply as EmptyReply
from kvstore.testing.history.records import Failed as Failed
from kvstore.testing.history.records import FaultRecord as FaultRecord
from kvstore.testing.history.records import Guarded as Guarded
from kvstore.testing.history.records import KeyValue as KeyValue
from kvstore.testing.history.records import LeaderRecord as LeaderRecord
from kvstore.testing.history.records import LeaseGrant as LeaseGrant
from kvstore.testing.history.records import LeaseKeepAlive as LeaseKeepAlive
from kvstore.testing.history.records import LeaseLeases as LeaseLeases
from kvstore.testing.history.records import LeaseReply as LeaseReply
from kvstore.testing.history.records import LeaseRevoke as LeaseRevoke
from kvstore.testing.history.records import LeasesReply as LeasesReply
from kvstore.testing.history.records import LeaseTimeToLive as LeaseTimeToLive
from kvstore.testing.history.records import Lock as Lock
from kvstore.testing.history.records import LockReply as LockReply
from kvstore.testing.history.records import MemberRecord as MemberRecord
from kvstore.testing.history.records import NodeRecord as NodeRecord
from kvstore.testing.history.records import Note as Note
from kvstore.testing.history.records import Ok as Ok
from kvstore.testing.history.records import Op as Op
from kvstore.testing.history.records import Operation as Operation
from kvstore.testing.history.records import OpReply as OpReply
from kvstore.testing.history.records import Outcome as Outcome
from kvstore.testing.history.records import Put as Put
from kvstore.testing.history.records import PutReply as PutReply
from kvstore.testing.history.records import Range as Range
from kvstore.testing.history.records import RangeReply as RangeReply
from kvstore.testing.history.records import Record as Record
from kvstore.testing.history.records import Reply as Reply
from kvstore.testing.history.records import Request as Request
from kvstore.testing.history.records import StartRecord as StartRecord
from kvstore.testing.history.records import Txn as Txn
from kvstore.testing.history.records import TxnReply as TxnReply
from kvstore.testing.history.records import Unknown as Unknown
from kvstore.testing.history.records import Unlock as Unlock
from kvstore.testing.history.records import WatchEvent as WatchEvent
from kvstore.testing.history.records import WatchRecord as WatchRecord
from kvstore.testing.history.records import WatchResponse as WatchResponse

FORMAT, VERSION = "quorate-history", 1


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a history file."""

    format: str
    version: int
    seed: int | None = None
    info: dict[str, str] = {}


class HistoryError(ValueError):
    """The file is not a history that can be read."""


@dataclass(frozen=True, slots=True)
class WatchSession:
    """A watch with all it received."""

    request: WatchRecord
    responses: tuple[WatchResponse, ...]

    @property
    def events(self) -> list[WatchEvent]:
        """All events in order of arrival."""
        return [event for response in self.responses for event in response.events]


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation that was called and has not ended."""

    id: int
    client: str
    request: Request
    called: float
    member: str = ""


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class History:
    """Records in the order they were made; may be used from several threads.

    Args:
        seed: what the run was made from, for the file's first line.
        info: more for the first line, e.g. the command that made it.
        path: write every record here, too, as it comes.
        keep: hold only the newest so many records in memory (the file has all); None: hold all.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        info: dict[str, str] | None = None,
        path: Path | None = None,
        keep: int | None = None,
    ) -> None:
        self.header = Header(FORMAT, VERSION, seed, dict(info or {}))
        self.dropped = 0
        """Records no longer in memory."""
        self._keep = keep
        self._records: deque[Record] = deque()
        self._open: dict[int, Pending] = {}
        self._last_id = 0
        self._guard = threading.Lock()
        self._file: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._file.write(_encoder.encode(self.header) + b"\n")

    # -- writing

    def next_id(self) -> int:
        """A number for an operation or a watch session: 1, 2, 3…"""
        with self._guard:
            self._last_id += 1
            return self._last_id

    def begin(self, client: str, request: Request, now: float, *, member: str = "") -> Pending:
        """An operation is called."""
        pending = Pending(self.next_id(), client, request, now, member)
        with self._guard:
            self._open[pending.id] = pending
        return pending

    def end(
        self, pending: Pending, now: float, outcome: Outcome, *, member: str = ""
    ) -> Operation | None:
        """The outcome of `pending` is known. None, and no record, if `close` or `clear` came first."""
        with self._guard:
            if self._open.pop(pending.id, None) is None:
                return None
        operation = Operation(
            pending.id,
            pending.client,
            pending.request,
            pending.called,
            now,
            outcome,
            member or pending.member,
        )
        self.append(operation)
        return operation

    def append(self, record: Record) -> None:
        """Add a record; its id, if it has one, must come from `next_id` or lie above all others."""
        with self._guard:
            if isinstance(record, Operation | WatchRecord) and record.id > self._last_id:
                self._last_id = record.id
            self._records.append(record)
            if self._keep is not None and len(self._records) > self._keep:
                self._records.popleft()
                self.dropped += 1
            if self._file is not None:
                self._file.write(_encoder.encode(record) + b"\n")

    def flush(self) -> None:
        """Bring what was recorded to the file."""
        with self._guard:
            if self._file is not None:
                self._file.flush()

    def close(self, now: float) -> None:
        """Record what is still open with unknown outcome, and close the file. Idempotent."""
        for pending in sorted(self._open.values(), key=lambda one: one.id):
            self.end(pending, now, Unknown("ClientClosed", "still open at the end"))
        with self._guard:
            if self._file is not None:
                self._file.close()
                self._file = None

    def clear(self) -> None:
        """Forget all records and open operations (the store was emptied); ids go on."""
        with self._guard:
            self._records.clear()
            self._open.clear()
            self.dropped = 0

    def write(self, path: Path) -> None:
        """Write all records in memory to `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(_encoder.encode(self.header) + b"\n")
            for record in self.records:
                file.write(_encoder.encode(record) + b"\n")

    # -- reading

    @classmethod
    def read(cls, path: Path) -> "History":
        """The history in a file; a half-written last line is left out. HistoryError if it is something else."""
        with path.open("rb") as file:
            header = _read_header(file.readline(), path)
            history = cls(seed=header.seed, info=header.info)
            for record in _read_records(file, path):
                history.append(record)
        return history

    @property
    def records(self) -> list[Record]:
        """All records in memory, in order."""
        with self._guard:
            return list(self._records)

    @property
    def operations(self) -> list[Operation]:
        """Operations, in order of their end. Those still open are not among them."""
        return [record for record in self.records if isinstance(record, Operation)]

    @property
    def pending(self) -> list[Pending]:
        """Operations still open."""
        with self._guard:
            return list(self._open.values())

    @property
    def watches(self) -> list[WatchSession]:
        """Watch sessions with all they received, in order of their begin."""
        responses: dict[int, list[WatchResponse]] = {}
        requests: list[WatchRecord] = []
        for record in self.records:
            if isinstance(record, WatchRecord):
                requests.append(record)
            elif isinstance(record, WatchResponse):
                responses.setdefault(record.watch, []).append(record)
        return [WatchSession(one, tuple(responses.get(one.id, ()))) for one in requests]

    @property
    def digests(self) -> list[DigestRecord]:
        """Digests of members."""
        return [record for record in self.records if isinstance(record, DigestRecord)]

    @property
    def nodes(self) -> list[NodeRecord]:
        """Leaders, faults, members, digests and notes: what a timeline shows besides operations."""
        return [
            record
            for record in self.records
            if not isinstance(record, Operation | WatchRecord | WatchResponse)
        ]

    def __len__(self) -> int:
        return len(self._records)


def _read_header(line: bytes, path: Path) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.MsgspecError as error:
        raise HistoryError(f"{path}: not a history: {error}") from error
    if header.format != FORMAT:
        raise HistoryError(f"{path}: format {header.format!r} is not {FORMAT!r}")
    if header.version > VERSION:
        raise HistoryError(f"{path}: version {header.version} is newer than {VERSION}")
    return header


def _read_records(lines: Iterable[bytes], path: Path) -> Iterator[Record]:
    for number, line in enumerate(lines, 2):
        if not line.endswith(b"\n"):
            return  # The writer was killed within the last line.
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise HistoryError(f"{path}: line {number}: {error}") from error
