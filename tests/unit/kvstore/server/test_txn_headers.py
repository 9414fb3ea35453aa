"""Each part of a transaction's answer carries the revision it saw, as etcd's does; a nested one's own is empty."""

import pytest

from kvstore.machine.outcome import DeleteRangeReply, OpReply, PutReply, RangeReply, TxnReply
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.convert import encode_txn

READ, PUT, GONE, NONE = RangeReply((), 0), PutReply(), DeleteRangeReply(1), DeleteRangeReply(0)


def revision_of(part: pb.ResponseOp) -> int:
    """The revision in a part's header."""
    return int(getattr(part, part.WhichOneof("response")).header.revision)


@pytest.mark.parametrize(
    ("parts", "revisions"),
    [
        ((READ, NONE), [30, 30]),
        ((READ, NONE, GONE, READ, PUT, NONE), [29, 29, 30, 30, 30, 30]),
        ((PUT, READ), [30, 30]),
        ((READ, TxnReply(True, (READ, PUT)), READ), [29, 0, 30]),
        ((TxnReply(True, (READ,)), READ, PUT), [0, 29, 30]),
    ],
)
def test_parts_before_the_first_change_have_the_revision_before_it(
    parts: tuple[OpReply, ...], revisions: list[int]
) -> None:
    response = pb.TxnResponse.FromString(encode_txn(TxnReply(True, parts), 30))
    assert [revision_of(part) for part in response.responses] == revisions
