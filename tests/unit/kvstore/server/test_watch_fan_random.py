"""Random writes, watches and windows: batches for many streams at once are the same as one by one."""

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.machine.commands import DeleteRange, Put, Txn
from kvstore.pb import rpc_pb2 as pb

KEYS = (b"a", b"ab", b"b", b"c")
RANGES = ((b"a", b""), (b"a", b"b"), (b"b", b""), (b"a", b"\0"), (b"aa", b"bz"))
key = st.sampled_from(KEYS)
writes = st.one_of(
    st.builds(Put, key, st.binary(max_size=200)),
    st.builds(DeleteRange, key),
    st.builds(
        lambda keys: Txn(success=tuple(Put(one, b"t") for one in keys)),
        st.sets(key, min_size=1).map(sorted),
    ),
)
step = st.one_of(
    st.tuples(st.just("apply"), writes),
    st.tuples(st.just("apply"), writes),
    st.tuples(st.just("settle")),
    st.tuples(
        st.just("create"),
        st.integers(0, 3),
        st.sampled_from(RANGES),
        st.sampled_from(("", "", "prev", "past", "future", "no_put", "no_delete", "progress")),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("progress"), st.integers(0, 3)),
    st.tuples(st.just("credit"), st.integers(0, 3), st.integers(1, 400)),
    st.tuples(st.just("block"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("tick")),
    st.tuples(st.just("compact")),
)


def by_watch(messages: list[pb.WatchResponse]) -> dict[int, list[pb.WatchResponse]]:
    found: dict[int, list[pb.WatchResponse]] = defaultdict(list)
    for one in messages:
        found[one.watch_id].append(one)
    return found


def events_of(messages: list[pb.WatchResponse]) -> list[bytes]:
    return [event.SerializeToString() for one in messages for event in one.events]


def check_stream(messages: list[pb.WatchResponse]) -> None:
    """Created before anything else, no event twice or out of order, and progress never ahead of events."""
    told: dict[int, tuple[int, bytes]] = {}
    progress: dict[int, int] = {}
    for one in messages:
        if one.created:
            told[one.watch_id] = (0, b"")
            progress[one.watch_id] = 0
        elif one.watch_id == -1:
            # It speaks of the watches there are; one that comes later may begin before.
            progress = dict.fromkeys(progress, one.header.revision)
        else:
            assert one.watch_id in told
        for event in one.events:
            at = (event.kv.mod_revision, event.kv.key)
            assert at > told[one.watch_id], "twice or out of order"
            assert event.kv.mod_revision > progress[one.watch_id], (
                "progress spoke of what was not sent"
            )
            told[one.watch_id] = at


@given(st.lists(step, max_size=40))
def test_many_at_once_is_the_same_as_one_by_one(clients: Any, steps: list[tuple[Any, ...]]) -> None:
    steps = [one for one in steps if one[0] not in ("credit", "block")]
    shared = clients.play(steps, is_shared=True, window=1 << 20)
    alone = clients.play(steps, is_shared=False, window=1 << 20)
    for ours, theirs in zip(shared.heard(), alone.heard(), strict=True):
        check_stream(ours)
        # Message by message, of each watch; how watches of a stream take turns is free.
        assert by_watch(ours) == by_watch(theirs)
    assert shared.world.counts.sent == sum(map(len, shared.heard()))
    assert shared.world.counts.sent_bytes == alone.world.counts.sent_bytes


@given(st.lists(step, max_size=40), st.integers(60, 400))
def test_with_little_room_every_watch_gets_all_its_events(
    clients: Any, steps: list[tuple[Any, ...]], window: int
) -> None:
    # A watch that is behind may be cancelled by a compaction in one world and be served in the other.
    steps = [one for one in steps if one[0] != "compact"]
    shared = clients.play(steps, is_shared=True, window=window)
    alone = clients.play(steps, is_shared=False, window=window)
    for ours, theirs in zip(shared.heard(), alone.heard(), strict=True):
        check_stream(ours)
        ours_by, theirs_by = by_watch(ours), by_watch(theirs)
        for watch_id in ours_by.keys() | theirs_by.keys():
            got, wanted = events_of(ours_by[watch_id]), events_of(theirs_by[watch_id])
            if any(one.canceled for one in ours_by[watch_id]):
                # A cancel overtakes what a watch has not been sent yet, in either world.
                shorter = min(len(got), len(wanted))
                assert got[:shorter] == wanted[:shorter]
            else:
                assert got == wanted


@pytest.mark.parametrize("seed", range(6))
def test_long_histories_with_many_watches(clients: Any, seed: int) -> None:
    rng = random.Random(seed)
    steps: list[tuple[Any, ...]] = []
    for _ in range(400):
        kind = rng.choice(("apply", "apply", "apply", "settle", "create", "cancel", "progress"))
        if kind == "apply":
            steps.append(("apply", rng.choice((Put(rng.choice(KEYS), b"v"), DeleteRange(b"a")))))
        elif kind == "settle":
            steps.append((kind,))
        elif kind == "create":
            what = rng.choice(("", "", "", "prev", "past", "no_delete"))
            steps.append((kind, rng.randrange(4), rng.choice(RANGES), what))
        elif kind == "cancel":
            steps.append((kind, rng.randrange(4), rng.randrange(12)))
        else:
            steps.append((kind, rng.randrange(4)))
    shared = clients.play(steps, is_shared=True, window=1 << 20)
    alone = clients.play(steps, is_shared=False, window=1 << 20)
    for ours, theirs in zip(shared.heard(), alone.heard(), strict=True):
        check_stream(ours)
        assert by_watch(ours) == by_watch(theirs)
