"""The watch hub over the real state machine: whole revisions, in order, each once."""

import itertools

import pytest

from kvstore.machine.commands import Compact, DeleteRange, Put, encode
from kvstore.machine.machine import StateMachine
from kvstore.mvcc.ranges import in_range, prefix_end
from kvstore.service.watch.hub import WatchHub
from kvstore.service.watch.index import WatchIndex
from kvstore.service.watch.notices import WatchBatch, WatchCompacted, WatchProgress
from kvstore.service.watch.spec import DuplicateWatchId, WatchSpec
from kvstore.service.watch.stream import WatchStream


class World:
    def __init__(self) -> None:
        self.machine = StateMachine()
        self.hub = WatchHub(self.machine)
        self._index = itertools.count(1)

    def apply(self, *commands) -> None:
        for command in commands:
            self.hub.on_applied(self.machine.apply(next(self._index), [encode(command)]))

    def apply_unseen(self, *commands) -> None:
        for command in commands:
            self.machine.apply(next(self._index), [encode(command)])


def drain(stream: WatchStream):
    return list(iter(stream.take, None))


def revisions(notices) -> list[int]:
    return [e.kv.mod_revision for n in notices if isinstance(n, WatchBatch) for e in n.events]


@pytest.fixture
def world() -> World:
    return World()


def test_watch_from_now_sees_only_what_comes(world):
    world.apply(Put(b"a", b"1"))
    stream = world.hub.open()
    stream.create(WatchSpec(b"a"))
    world.apply(Put(b"a", b"2"), Put(b"b"), DeleteRange(b"a"))
    assert revisions(drain(stream)) == [3, 5]
    assert drain(stream) == []


def test_watch_from_the_past_then_live_has_no_gap_and_no_repeat(world):
    world.apply(*(Put(b"a", b"%d" % n) for n in range(5)))
    stream = world.hub.open()
    stream.create(WatchSpec(b"a", start_revision=3))
    world.apply(Put(b"a", b"x"))
    assert revisions(drain(stream)) == [3, 4, 5, 6, 7]
    world.apply(Put(b"a", b"y"))
    assert revisions(drain(stream)) == [8]


def test_watch_from_the_future_waits_for_its_revision(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"a", start_revision=4))
    world.apply(Put(b"a"), Put(b"a"), Put(b"a"))
    assert revisions(drain(stream)) == [4]


def test_watch_below_the_compacted_revision_is_cancelled_with_it(world):
    world.apply(*(Put(b"a") for _ in range(6)), Compact(5))
    stream = world.hub.open()
    stream.create(WatchSpec(b"a", start_revision=2))
    (notice,) = drain(stream)
    assert isinstance(notice, WatchCompacted)
    assert notice.compact_revision == 5
    assert stream.watchers == {}


def test_idle_watcher_survives_compaction_past_its_start(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"quiet", start_revision=1))
    drain(stream)
    world.apply(*(Put(b"a") for _ in range(6)), Compact(5), Put(b"quiet"))
    assert revisions(drain(stream)) == [8]


def test_filters_drop_puts_or_deletes(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"a", no_put=True))
    stream.create(WatchSpec(b"a", no_delete=True))
    world.apply(Put(b"a"), DeleteRange(b"a"))
    seen = {n.watcher.watch_id: [e.is_delete for e in n.events] for n in drain(stream)}
    assert seen == {0: [True], 1: [False]}


def test_requested_progress_comes_after_all_events(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"a"))
    stream.request_progress()
    world.apply(Put(b"a"))
    batch, progress = drain(stream)
    assert isinstance(batch, WatchBatch)
    assert progress == WatchProgress(None, 2)


def test_periodic_progress_only_for_quiet_watchers_that_asked(world):
    stream = world.hub.open()
    asked = stream.create(WatchSpec(b"a", progress_notify=True))
    stream.create(WatchSpec(b"a"))
    world.hub.progress_tick()
    assert drain(stream) == [WatchProgress(asked, 1)]
    world.apply(Put(b"a"))
    drain(stream)
    world.hub.progress_tick()
    assert drain(stream) == []


def test_progress_never_overtakes_a_state_that_was_replaced(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"a"))
    stream.request_progress()
    world.apply_unseen(Put(b"a"), Put(b"a"))
    notices = drain(stream)
    assert revisions(notices) == [2, 3]
    assert notices[-1] == WatchProgress(None, 3)


def test_watch_ids_are_per_stream_and_a_taken_one_is_refused(world):
    stream = world.hub.open()
    assert stream.create(WatchSpec(b"a", watch_id=7)).watch_id == 7
    with pytest.raises(DuplicateWatchId):
        stream.create(WatchSpec(b"b", watch_id=7))
    assert [stream.create(WatchSpec(b"c")).watch_id for _ in range(2)] == [0, 1]


def test_closed_stream_leaves_nothing_behind(world):
    stream = world.hub.open()
    stream.create(WatchSpec(b"a", b"b"))
    stream.close()
    assert (world.hub.watcher_count, world.hub.stream_count) == (0, 0)


@pytest.mark.parametrize(
    ("start", "end", "key", "is_touched"),
    [
        pytest.param(b"a", b"", b"a", True, id="one_key"),
        pytest.param(b"a", b"", b"ab", False, id="one_key_is_no_prefix"),
        pytest.param(b"ab", b"ac", b"abz", True, id="prefix"),
        pytest.param(b"ab", b"ac", b"a", False, id="shorter_than_prefix"),
        pytest.param(b"a", b"f", b"e", True, id="range"),
        pytest.param(b"a", b"f", b"f", False, id="end_is_open"),
        pytest.param(b"c", b"\0", b"zz", True, id="from_key_on"),
        pytest.param(b"\0", b"\0", b"anything", True, id="all"),
    ],
)
def test_index_finds_what_the_range_rule_says(start, end, key, is_touched):
    index: WatchIndex[tuple[bytes, bytes]] = WatchIndex(lambda *key_range: key_range)
    entry = index.entry(start, end)
    assert (index.touched(key) == [entry]) is is_touched
    assert in_range(key, start, end) is is_touched
    assert index.entry(start, end) is entry
    index.remove(start, end)
    assert index.touched(key) == []


def test_prefix_end_of_all_ones_is_no_end():
    assert (prefix_end(b"a\xff"), prefix_end(b"\xff")) == (b"b", b"\0")
