"""Gateway JSON: tables of what etcd 3.5.1 answered, and round trips beside protobuf's own JSON where the two agree."""

import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from kvstore.pb import election_pb2, kv_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.gateway import reading, scanner, writing


def read(message, text):
    value, _ = scanner.read(text.encode(), 0, is_last=True)
    reading.fill(message, value)
    return message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", pb.RangeRequest()),
        ("null", pb.RangeRequest()),
        ('{"key":"YQ==","countOnly":true}', pb.RangeRequest(key=b"a", count_only=True)),
        ('{"key":"YQ==","count_only":true}', pb.RangeRequest(key=b"a", count_only=True)),
        ('{"count_only":false,"countOnly":true}', pb.RangeRequest(count_only=True)),
        ('{"countOnly":null,"key":null}', pb.RangeRequest()),
        ('{"unknown":{"deep":[1,2]},"limit":5}', pb.RangeRequest(limit=5)),
        ('{"limit":"-9223372036854775808"}', pb.RangeRequest(limit=-(1 << 63))),
        ('{"limit":" 5 ","revision":"null"}', pb.RangeRequest(limit=5)),
        ('{"sort_order":"DESCEND","sort_target":3}', pb.RangeRequest(sort_order=2, sort_target=3)),
        ('{"sort_order":77}', pb.RangeRequest(sort_order=77)),
        ('{"key":[0,255]}', pb.RangeRequest(key=b"\0\xff")),
        ('{"key":"Y\\nQ=\\r="}', pb.RangeRequest(key=b"a")),
    ],
)
def test_ranges_are_read(text, wanted):
    assert read(pb.RangeRequest(), text) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", None),
        ("{", "unexpected EOF"),
        ('{"key":"YQ"}', "illegal base64 data at input byte 0"),
        ('{"key":"YWJjYQ"}', "illegal base64 data at input byte 4"),
        ('{"key":"YQ=x"}', "illegal base64 data at input byte 2"),
        ('{"limit":1.0}', "json: cannot unmarshal number 1.0 into Go value of type int64"),
        ('{"limit":"\\"5\\""}', "json: cannot unmarshal string into Go value of type int64"),
        ('{"limit":"5,"}', "invalid character ',' after top-level value"),
        ('{"limit":"{"}', "unexpected end of JSON input"),
        ('{"sort_order":true}', "json: cannot unmarshal bool into Go value of type protoreflect.EnumNumber"),
        (
            '{"sort_order":"up"}',
            'unknown value "\\"up\\"" for enum etcdserverpb.RangeRequest.SortOrder',
        ),
    ],
)  # fmt: skip
def test_complaints_are_gos(text, complaint):
    if complaint is None:
        assert scanner.read(text.encode(), 0, is_last=True) == (None, None)
        return
    if complaint == scanner.UNEXPECTED_EOF:
        assert scanner.read(text.encode(), 0, is_last=True)[1] is None
        return
    with pytest.raises(scanner.JsonError) as caught:
        read(pb.RangeRequest(), text)
    assert str(caught.value) == complaint


def test_of_two_members_of_a_oneof_the_later_declared_stays():
    op = read(pb.RequestOp(), '{"request_put":{"key":"YQ=="},"request_range":{"key":"Yg=="}}')
    assert op == pb.RequestOp(request_put=pb.PutRequest(key=b"a"))


def test_an_empty_part_is_set():
    assert read(pb.WatchRequest(), '{"progress_request":{}}').HasField("progress_request")
    assert not read(pb.WatchRequest(), '{"progress_request":null}').HasField("progress_request")


def test_documents_are_split_as_they_come():
    data = b' {"a":1}\n[2] "x" 34'
    found, at = [], 0
    while True:
        value, end = scanner.read(data, at, is_last=False)
        if end is None:
            break
        found.append(value)
        at = end
    # The number may go on.
    assert found == [{"a": b"1"}, [b"2"], "x"]
    assert scanner.read(data, at, is_last=True)[0] == b"34"


def test_nesting_is_bounded():
    text = '{"success":[{"request_txn":' * 30_000
    with pytest.raises(scanner.JsonError, match="exceeded max depth"):
        scanner.read(text.encode(), 0, is_last=True)
    deep = '{"success":[{"request_txn":' * 2_000 + "{}" + "}]}" * 2_000
    with pytest.raises(scanner.JsonError, match="exceeded max depth"):
        read(pb.TxnRequest(), deep)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (pb.RangeResponse(), "{}"),
        (pb.LeaseGrantResponse(ID=7, TTL=-1), '{"ID":"7","TTL":"-1"}'),
        (pb.HashResponse(hash=4294967295), '{"hash":4294967295}'),
        (
            pb.TxnResponse(responses=[pb.ResponseOp(response_put=pb.PutResponse(header={}))]),
            '{"responses":[{"response_put":{"header":{}}}]}',
        ),
        (
            pb.WatchResponse(events=[kv_pb2.Event(type=1, kv=kv_pb2.KeyValue(key=b"\xff"))]),
            '{"events":[{"type":"DELETE","kv":{"key":"/w=="}}]}',
        ),
        (pb.AlarmMember(alarm=9), '{"alarm":9}'),
        (
            pb.AuthUserListResponse(users=['<é>"&\u2028\x7f\x00\b\\b\n']),
            '{"users":["\\u003cé\\u003e\\"\\u0026\\u2028\x7f\\u0000\\u0008\\\\b\\n"]}',
        ),
        (
            election_pb2.LeaderKey(lease=5, name=b"n", rev=3),
            '{"name":"bg==","rev":"3","lease":"5"}',
        ),
    ],
)
def test_messages_are_written(message, text):
    assert writing.to_json(message) == text
    assert read(type(message)(), text) == message


INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEY_VALUES = st.builds(
    kv_pb2.KeyValue,
    key=st.binary(),
    value=st.binary(),
    create_revision=INT64,
    mod_revision=INT64,
    version=INT64,
    lease=INT64,
)
RANGES = st.builds(
    pb.RangeRequest,
    key=st.binary(),
    limit=INT64,
    sort_order=st.integers(0, 2),
    sort_target=st.integers(0, 4),
    keys_only=st.booleans(),
)
OPS = st.one_of(
    st.builds(lambda part: pb.RequestOp(request_range=part), RANGES),
    st.builds(
        lambda key, value: pb.RequestOp(request_put=pb.PutRequest(key=key, value=value)),
        st.binary(),
        st.binary(),
    ),
)
TXNS = st.recursive(
    st.builds(pb.TxnRequest, success=st.lists(OPS, max_size=3)),
    lambda inner: st.builds(
        lambda txns, compares: pb.TxnRequest(
            compare=compares, failure=[pb.RequestOp(request_txn=one) for one in txns]
        ),
        st.lists(inner, max_size=2),
        st.lists(st.builds(pb.Compare, target=st.integers(0, 4), value=st.binary()), max_size=2),
    ),
    max_leaves=5,
)
MESSAGES = st.one_of(
    TXNS,
    st.builds(pb.RangeResponse, kvs=st.lists(KEY_VALUES, max_size=3), more=st.booleans()),
    st.builds(
        pb.WatchResponse,
        watch_id=INT64,
        cancel_reason=TEXT,
        events=st.lists(st.builds(kv_pb2.Event, type=st.integers(0, 1), kv=KEY_VALUES), max_size=3),
    ),
    st.builds(pb.Member, ID=st.integers(0, (1 << 64) - 1), name=TEXT, peerURLs=st.lists(TEXT)),
    st.builds(pb.HashResponse, hash=st.integers(0, (1 << 32) - 1)),
)


@given(MESSAGES)
def test_what_is_written_reads_back_here_and_in_protobuf(message):
    text = writing.to_json(message)
    assert read(type(message)(), text) == message
    assert json_format.Parse(text, type(message)()) == message
    assert json.loads(text) == json_format.MessageToDict(message, preserving_proto_field_name=True)


@given(MESSAGES, st.booleans(), st.integers(0, 2))
def test_what_protobuf_writes_reads_here(message, is_camel, indent):
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=not is_camel, indent=indent
    )
    assert read(type(message)(), text) == message


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        value, end = scanner.read(data, 0, is_last=True)
    except scanner.JsonError:
        with pytest.raises(ValueError):
            json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse)
        return
    if end is not None:
        again = json.loads(
            data[:end].decode("utf-8", "replace"), parse_int=str.encode, parse_float=str.encode
        )
        assert again == value


def _refuse(_):
    raise ValueError


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
), st.binary(max_size=4))  # fmt: skip
def test_whole_documents_end_where_they_end(value, tail):
    text = json.dumps(value).encode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        tail = b" " + tail
    found, end = scanner.read(text + tail, 0, is_last=True)
    assert end == len(text)
    assert found == json.loads(text, parse_int=str.encode, parse_float=str.encode)


@pytest.mark.parametrize("text", ["x", "ä", "€", "😀", "a😀"])
@pytest.mark.parametrize("shift", range(4))
def test_long_documents_end_where_they_end(text, shift):
    # Whatever the first look at 4096 bytes cuts in two.
    data = json.dumps({"a": " " * shift + text * 3000}, ensure_ascii=False).encode()
    for tail in (b"", b" {}", b"]", b"\xff"):
        assert scanner.read(data + tail, 0, is_last=True) == (json.loads(data), len(data))
    assert scanner.read(data[:-1], 0, is_last=False) == (None, None)


def test_numbers_by_the_million_take_no_walk_over_the_text():
    looked = []
    walk, scanner._scan = scanner._scan, lambda *_: looked.append(1)
    try:
        data = b'{"key":[' + b"1," * 100_000 + b"1]}"
        assert scanner.read(data, 0, is_last=True)[1] == len(data)
    finally:
        scanner._scan = walk
    assert not looked
