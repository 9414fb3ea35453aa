"""Ranges, ordered keys, versions of one key, history: each by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.mvcc.digest import hash_version
from kvstore.mvcc.errors import Compacted
from kvstore.mvcc.history import History
from kvstore.mvcc.key_index import check_versions, compact, version_at
from kvstore.mvcc.kv import Event, KeyValue
from kvstore.mvcc.ordered import OrderedKeys
from kvstore.mvcc.ranges import FROM_KEY, KeyRange, prefix_end

SHORT = st.binary(min_size=1, max_size=2)


@pytest.mark.parametrize(
    ("key", "range_end", "inside", "outside"),
    [
        pytest.param(b"b", b"", [b"b"], [b"a", b"ba", b"b\0"], id="one_key"),
        pytest.param(b"b", b"d", [b"b", b"b\0", b"c", b"cz"], [b"a", b"d"], id="half_open"),
        pytest.param(b"b", b"\0", [b"b", b"c", b"\xff\xff"], [b"a", b"a\xff"], id="from_key"),
        pytest.param(b"\0", b"\0", [b"\0", b"a", b"\xff"], [], id="all"),
        pytest.param(b"b", b"b", [], [b"a", b"b", b"c"], id="empty"),
        pytest.param(b"d", b"b", [], [b"b", b"c", b"d"], id="reversed_is_empty"),
    ],
)
def test_range_end_rules(
    key: bytes, range_end: bytes, inside: list[bytes], outside: list[bytes]
) -> None:
    key_range = KeyRange(key, range_end)
    assert all(name in key_range for name in inside)
    assert not any(name in key_range for name in outside)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", FROM_KEY), (b"", FROM_KEY), (b"/r/", b"/r0")],
)
def test_prefix_end(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


@given(SHORT, st.binary(max_size=2), SHORT, st.binary(max_size=2))
def test_overlap_is_symmetric_and_sees_common_keys(
    key: bytes, end: bytes, other_key: bytes, other_end: bytes
) -> None:
    one, two = KeyRange(key, end), KeyRange(other_key, other_end)
    assert one.overlaps(two) == two.overlaps(one)
    if any(name in one and name in two for name in (key, other_key)):
        assert one.overlaps(two)


@given(st.lists(SHORT), st.lists(SHORT), SHORT, st.none() | SHORT)
def test_ordered_keys_are_a_sorted_set(
    added: list[bytes], removed: list[bytes], low: bytes, high: bytes | None
) -> None:
    keys, model = OrderedKeys(), set[bytes]()
    for key in added:
        if key not in model:
            keys.add(key)
            model.add(key)
    for key in removed:
        if key in model:
            keys.remove(key)
            model.discard(key)
        else:
            with pytest.raises(KeyError):
                keys.remove(key)
    keys.check_invariants()
    assert list(keys) == sorted(model)
    wanted = sorted(key for key in model if low <= key and (high is None or key < high))
    assert keys.between(low, high) == wanted


def test_ordered_keys_over_many_blocks() -> None:
    names = [b"%06d" % (number * 7919 % 10007) for number in range(10007)]
    keys = OrderedKeys(names[:3000])
    for name in names[3000:]:
        keys.add(name)
    keys.check_invariants()
    assert keys.between(b"000500", b"009000") == [b"%06d" % number for number in range(500, 9000)]
    for name in names[:9000]:
        keys.remove(name)
    keys.check_invariants()
    assert list(keys) == sorted(names[9000:])
    assert len(keys) == 1007
    assert keys.between(b"", None) == sorted(names[9000:])


def put(mod: int, create: int, version: int) -> KeyValue:
    return KeyValue(b"k", b"v%d" % mod, create, mod, version)


def tombstone(mod: int) -> KeyValue:
    return KeyValue(b"k", mod_revision=mod)


VERSIONS = [put(2, 2, 1), put(4, 2, 2), tombstone(6), put(8, 8, 1), put(9, 8, 2)]


@pytest.mark.parametrize(
    ("revision", "found"),
    [(1, None), (2, 2), (3, 2), (4, 4), (5, 4), (6, None), (7, None), (8, 8), (9, 9), (99, 9)],
)
def test_version_at(revision: int, found: int | None) -> None:
    kv = version_at(VERSIONS, revision)
    assert (kv and kv.mod_revision) == found


@pytest.mark.parametrize(
    ("revision", "kept"),
    [
        pytest.param(1, [2, 4, 6, 8, 9], id="before_the_first_nothing_goes"),
        pytest.param(2, [2, 4, 6, 8, 9], id="at_the_first_nothing_goes"),
        pytest.param(3, [2, 4, 6, 8, 9], id="newest_below_stays"),
        pytest.param(5, [4, 6, 8, 9], id="older_goes"),
        pytest.param(6, [8, 9], id="tombstone_at_the_bound_goes"),
        pytest.param(7, [8, 9], id="tombstone_below_the_bound_goes"),
        pytest.param(9, [9], id="only_the_newest"),
        pytest.param(50, [9], id="beyond"),
    ],
)
def test_compaction_of_one_key(revision: int, kept: list[int]) -> None:
    before = list(VERSIONS)
    stays, goes = compact(before, revision)
    assert [kv.mod_revision for kv in stays] == kept
    assert goes + stays == VERSIONS
    assert before == VERSIONS, "the old list must stay as it was for pinned readers"
    check_versions(b"k", stays)


def test_compaction_can_take_the_whole_key() -> None:
    assert compact([put(2, 2, 1), tombstone(3)], 3) == ([], [put(2, 2, 1), tombstone(3)])


@pytest.mark.parametrize(
    "versions",
    [
        pytest.param([], id="empty"),
        pytest.param([put(2, 2, 1), put(3, 2, 3)], id="version_skips"),
        pytest.param([put(2, 2, 1), put(3, 3, 2)], id="create_moves"),
        pytest.param([put(3, 3, 1), put(2, 3, 2)], id="revisions_fall"),
        pytest.param([tombstone(2), tombstone(3)], id="two_tombstones"),
        pytest.param([tombstone(2), put(3, 2, 4)], id="generation_starts_late"),
    ],
)
def test_check_versions_finds(versions: list[KeyValue]) -> None:
    with pytest.raises(AssertionError):
        check_versions(b"k", versions)


@given(
    st.tuples(*[st.binary(max_size=3)] * 2, *[st.integers(0, 2**40)] * 4),
    st.tuples(*[st.binary(max_size=3)] * 2, *[st.integers(0, 2**40)] * 4),
)
def test_different_versions_hash_differently(one: tuple, two: tuple) -> None:
    first, second = KeyValue(*one), KeyValue(*two)
    assert (hash_version(first) == hash_version(second)) == (first == second)


def test_hash_is_the_same_in_every_process() -> None:
    assert hash_version(KeyValue(b"k", b"v", 2, 3, 2, 7)) == 0x696E92AD42B017FB


def history() -> History:
    """Revision 2 puts a; 3 puts a, b, c; 4 puts b; 5 deletes a."""
    built = History()
    for revision, keys in ((2, b"a"), (3, b"abc"), (4, b"b")):
        built.append(
            tuple(
                Event(KeyValue(bytes((key,)), b"", revision, revision, 1), False, None)
                for key in keys
            )
        )
    prev = KeyValue(b"a", b"", 3, 3, 1)
    built.append((Event(KeyValue(b"a", mod_revision=5), True, prev),))
    built.check_invariants()
    return built


@pytest.mark.parametrize(
    ("key", "range_end", "revision", "limit", "found"),
    [
        pytest.param(b"\0", b"\0", 0, 0, [(2, 1), (3, 3), (4, 1), (5, 1)], id="all"),
        pytest.param(b"a", b"", 1, 0, [(2, 1), (3, 1), (5, 1)], id="one_key"),
        pytest.param(b"b", b"", 2, 0, [(3, 1), (4, 1)], id="only_what_matches"),
        pytest.param(b"b", b"d", 3, 0, [(3, 2), (4, 1)], id="range"),
        pytest.param(b"\0", b"\0", 2, 2, [(2, 1), (3, 3)], id="limit_keeps_revisions_whole"),
        pytest.param(b"\0", b"\0", 2, 1, [(2, 1)], id="limit_reached_exactly"),
        pytest.param(b"\0", b"\0", 6, 0, [], id="future"),
        pytest.param(b"x", b"", 0, 0, [], id="nothing"),
    ],
)
def test_since(
    key: bytes, range_end: bytes, revision: int, limit: int, found: list[tuple[int, int]]
) -> None:
    batches = history().since(key, range_end, revision, limit)
    assert [(revision, len(events)) for revision, events in batches] == found


def test_scan_goes_on_where_it_stopped() -> None:
    built = history()
    revision, found = 1, []
    for _ in range(9):
        batches, revision = built.scan(KeyRange(b"b"), revision, 0, 1)
        found += [at for at, _ in batches]
    assert found == [3, 4]
    assert revision == 6


def test_compacted_history_starts_at_its_bound() -> None:
    built = history()
    built.compact(5)
    built.check_invariants()
    with pytest.raises(Compacted) as caught:
        built.since(b"a", b"", 4, 0)
    assert caught.value.compact_revision == 5
    ((revision, (event,)),) = built.since(b"a", b"", 5, 0)
    assert (revision, event.is_delete) == (5, True)
    assert event.prev is None, "the version before lies before the bound"


def test_pinned_history_does_not_move() -> None:
    built = history()
    pinned = built.pinned()
    built.append((Event(KeyValue(b"z", b"", 6, 6, 1)),))
    built.compact(4)
    assert [len(events) for events in pinned] == [0, 1, 3, 1, 1]
