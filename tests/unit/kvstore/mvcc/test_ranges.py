"""Ranges by etcd's rules; the client's own `prefix_end` agrees with the store's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client import ops
from kvstore.mvcc.ranges import KeyRange, in_range, prefix_end

_keys = st.binary(max_size=6) | st.lists(st.sampled_from([0, 97, 254, 255]), max_size=5).map(bytes)


@pytest.mark.parametrize(
    ("key", "start", "range_end", "expected"),
    [
        pytest.param(b"a", b"a", b"", True, id="no_end_is_one_key"),
        pytest.param(b"ab", b"a", b"", False, id="no_end_is_not_a_prefix"),
        pytest.param(b"zz", b"a", b"\0", True, id="zero_byte_is_no_bound"),
        pytest.param(b"A", b"a", b"\0", False, id="zero_byte_begins_at_the_key"),
        pytest.param(b"b", b"a", b"b", False, id="the_end_is_not_in_it"),
        pytest.param(b"az", b"a", b"b", True, id="in_between"),
        pytest.param(b"a", b"b", b"a", False, id="the_wrong_way_round_is_empty"),
    ],
)
def test_what_is_in_a_range(key: bytes, start: bytes, range_end: bytes, expected: bool) -> None:
    assert in_range(key, start, range_end) is expected
    assert (key in KeyRange(start, range_end)) is expected


@given(prefix=_keys, key=_keys)
def test_a_prefix_range_holds_what_begins_with_it_and_nothing_else(
    prefix: bytes, key: bytes
) -> None:
    start = prefix or b"\0"
    if key:
        assert in_range(key, start, prefix_end(prefix)) is key.startswith(prefix)


@given(prefix=_keys)
def test_client_and_store_agree(prefix: bytes) -> None:
    assert ops.prefix_end(prefix) == prefix_end(prefix)
