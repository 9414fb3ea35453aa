"""The error table is total, request rules are etcd's, and hand-made encodings equal protobuf's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.machine.outcome import Event, KeyValue, RangeReply
from kvstore.pb import kv_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.check import check_put, check_range, check_txn
from kvstore.server.convert import key_value_to_pb
from kvstore.server.encode import Encoder, watch_response
from kvstore.server.errors import DOMAIN_ERRORS, TABLE
from kvstore.server.header import Header
from kvstore.wire.engine import WireError


def subclasses(cls):
    return {sub for one in cls.__subclasses__() for sub in ({one} | subclasses(one))}


def test_every_domain_error_has_a_wire_form():
    everything = set().union(*(subclasses(tree) for tree in DOMAIN_ERRORS))
    assert everything - set(TABLE) == set()


def put(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key))


def delete(key: bytes, end: bytes = b"") -> pb.RequestOp:
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end))


def nested(then=(), otherwise=()) -> pb.RequestOp:
    return pb.RequestOp(request_txn=pb.TxnRequest(success=then, failure=otherwise))


DUPLICATE = "etcdserver: duplicate key given in txn request"


@pytest.mark.parametrize(
    ("ops", "text"),
    [
        pytest.param([put(b"a"), put(b"b")], None, id="different_keys"),
        pytest.param([put(b"a"), put(b"a")], DUPLICATE, id="same_key_twice"),
        pytest.param([put(b"b"), delete(b"a", b"c")], DUPLICATE, id="put_in_deleted_range"),
        pytest.param([nested([put(b"a")], [put(b"a")])], None, id="branches_exclude_each_other"),
        pytest.param([put(b"a"), nested([put(b"a")])], DUPLICATE, id="nested_same_key"),
        pytest.param([put(b"")], "etcdserver: key is not provided", id="empty_key"),
        pytest.param([pb.RequestOp()], "etcdserver: key not found", id="empty_operation"),
        pytest.param(
            [put(b"%d" % n) for n in range(129)],
            "etcdserver: too many operations in txn request",
            id="too_many",
        ),
    ],
)
def test_txn_rules(ops, text):
    request = pb.TxnRequest(success=ops)
    if text is None:
        check_txn(request, 128)
        return
    with pytest.raises(WireError) as caught:
        check_txn(request, 128)
    assert caught.value.message == text


def test_put_and_range_rules():
    with pytest.raises(WireError, match="value is provided"):
        check_put(pb.PutRequest(key=b"a", value=b"x", ignore_value=True))
    with pytest.raises(WireError, match="lease is provided"):
        check_put(pb.PutRequest(key=b"a", lease=1, ignore_lease=True))
    with pytest.raises(WireError, match="key is not provided"):
        check_range(pb.RangeRequest())


numbers = st.integers(0, 2**63 - 1)
key_values = st.builds(
    KeyValue, st.binary(min_size=1, max_size=300), st.binary(max_size=300), *[numbers] * 4
)


# A version is named by its key and revision; the encoder relies on it.
versions = st.lists(key_values, max_size=4, unique_by=lambda kv: (kv.key, kv.mod_revision))


@given(versions, st.booleans(), numbers)
def test_hand_made_responses_read_as_protobuf(kvs, more, revision):
    header = Header(2**64 - 1, 2**63, term=lambda: 3, revision=lambda: 0).encoded(revision)
    wanted = pb.ResponseHeader(
        cluster_id=2**64 - 1, member_id=2**63, revision=revision, raft_term=3
    )
    data = Encoder().range_response(header, RangeReply(tuple(kvs), len(kvs), more))
    assert pb.RangeResponse.FromString(data) == pb.RangeResponse(
        header=wanted, kvs=[key_value_to_pb(kv) for kv in kvs], more=more, count=len(kvs)
    )
    events = [Encoder().event(Event(kv, True, kv), with_prev=True) for kv in kvs]
    assert pb.WatchResponse.FromString(watch_response(header, 5, events)) == pb.WatchResponse(
        header=wanted,
        watch_id=5,
        events=[
            kv_pb2.Event(
                type=kv_pb2.Event.DELETE, kv=key_value_to_pb(kv), prev_kv=key_value_to_pb(kv)
            )
            for kv in kvs
        ],
    )
