"""First pages of ranges: the same as the beginning of the whole range, with the whole range's count."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.machine.commands import Range
from kvstore.machine.outcome import RangeReply
from kvstore.machine.reads import read_range
from kvstore.mvcc import ordered
from kvstore.mvcc.ordered import OrderedKeys
from kvstore.mvcc.store import Store

KEYS = st.integers(0, 40).map(lambda number: b"%02d" % number)


@given(st.sets(KEYS), KEYS, st.none() | KEYS, st.integers(0, 50))
def test_a_page_of_small_blocks_is_the_start_of_the_range(
    keys: set[bytes], low: bytes, high: bytes | None, limit: int
) -> None:
    block, ordered._BLOCK = ordered._BLOCK, 4
    try:
        made = OrderedKeys(keys)
        whole = made.between(low, high)
        assert made.first_between(low, high, limit) == (whole[:limit], len(whole))
    finally:
        ordered._BLOCK = block


OPERATIONS = st.lists(st.tuples(st.sampled_from(("put", "delete", "compact")), KEYS), max_size=40)


@given(OPERATIONS, KEYS, KEYS | st.sampled_from((b"", b"\0")), st.integers(0, 8), st.booleans())
def test_pages_count_and_now_agree_with_the_whole_at_the_newest_revision(
    operations: list[tuple[str, bytes]], key: bytes, end: bytes, limit: int, is_count: bool
) -> None:
    store = Store()
    for kind, name in operations:
        if kind == "put":
            store.put(name, b"v")
        elif kind == "delete":
            store.delete(name)
        else:
            store.compact(store.revision)
            store.reclaim(3)
        store.commit()
    store.check_invariants()
    now = read_range(store, Range(key, end, limit=limit, count_only=is_count))
    whole = read_range(store, Range(key, end))
    assert isinstance(now, RangeReply)
    assert isinstance(whole, RangeReply)
    assert now.count == len(whole.kvs)
    wanted = whole.kvs[:limit] if limit else whole.kvs
    assert now.kvs == (() if is_count else wanted)
    assert now.more == (not is_count and 0 < limit < len(whole.kvs))
    # The way through all versions, tombstones too, says the same of the same revision.
    assert read_range(store, Range(key, end, revision=store.revision)) == whole
