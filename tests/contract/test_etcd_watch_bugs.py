"""What etcd's watches and transactions once did wrong, one test a bug, over gRPC to a member of this store.

The numbers are etcd's issues. Each test brings about what the bug needed; test_etcd_crash_bugs.py in tests/e2e has
those that need crashes. That the condition is met is seen at a real etcd where it still has the bug.
"""

import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest

from kvstore.client.types import WatchBatch
from kvstore.client.watch_cursor import WatchCursor, watch_request
from kvstore.machine.commands import Compact, DeleteRange, Put, encode
from kvstore.machine.machine import StateMachine
from kvstore.pb import rpc_pb2 as pb
from kvstore.service.watch.hub import WatchHub
from kvstore.service.watch.notices import WatchBatch as ServiceBatch
from kvstore.service.watch.spec import WatchSpec

ETCD_35 = os.environ.get("ETCD35")


@pytest.fixture(scope="module")
def target(side_by_side: ModuleType) -> Iterator[str]:
    flags = ["--experimental-watch-progress-notify-interval=100ms"]
    with side_by_side.running([sys.executable, "-m", "kvstore"], *flags) as address:
        yield address


@pytest.fixture
def server(target: str, side_by_side: ModuleType) -> Iterator[Any]:
    opened = side_by_side.Server(target)
    yield opened
    opened.close()


def call(server: Any, name: str, request: Any) -> Any:
    return server.calls[name](request, timeout=20)


def put(server: Any, key: bytes, value: bytes = b"") -> int:
    return call(server, "KV/Put", pb.PutRequest(key=key, value=value)).header.revision


def delete(server: Any, key: bytes) -> int:
    return call(server, "KV/DeleteRange", pb.DeleteRangeRequest(key=key)).header.revision


def compact(server: Any, revision: int) -> None:
    call(server, "KV/Compact", pb.CompactionRequest(revision=revision, physical=True))


class Heard:
    """A watch stream whose answers are kept as they came; it begins to read at `read`."""

    def __init__(self, server: Any, *requests: pb.WatchRequest) -> None:
        self.answers: list[pb.WatchResponse] = []
        self._more = threading.Event()
        self._changed = threading.Condition()
        self._call = server.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )(self._requests(requests))
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _requests(self, requests: Any) -> Iterator[pb.WatchRequest]:
        yield from requests
        self._more.wait()

    def _read(self) -> None:
        try:
            for answer in self._call:
                with self._changed:
                    self.answers.append(answer)
                    self._changed.notify_all()
        except grpc.RpcError:
            return

    def read(self) -> "Heard":
        self._thread.start()
        return self

    def until(self, condition: Any, seconds: float = 20.0) -> list[pb.WatchResponse]:
        """All answers, once `condition(answers)` holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.answers), seconds), self.answers
            return list(self.answers)

    def close(self) -> None:
        self._more.set()
        self._call.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout=5)


def creation(**fields: Any) -> pb.WatchRequest:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(**fields))


PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())


def events_of(answers: list[pb.WatchResponse]) -> list[Any]:
    return [event for answer in answers for event in answer.events]


def is_progress(answer: pb.WatchResponse) -> bool:
    return not (answer.created or answer.canceled or answer.events)


def check_progress(answers: list[pb.WatchResponse]) -> bool:
    """Whether nothing comes after a notification that lies before it.

    It speaks of the watches there are; one that the server learns of later may begin before.
    """
    known: dict[int, int] = {}
    for answer in answers:
        if answer.created:
            known[answer.watch_id] = 0
        elif is_progress(answer):
            known = {one: max(at, answer.header.revision) for one, at in known.items()}
        elif answer.events and answer.events[0].kv.mod_revision <= known[answer.watch_id]:
            return False
    return True


def progress_behind_a_long_history(server: Any) -> bool:
    first = put(server, b"p")
    for _ in range(3):
        ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"p%d" % n)) for n in range(100)]
        for _ in range(10):
            last = call(server, "KV/Txn", pb.TxnRequest(success=ops)).header.revision
    create = creation(key=b"p", range_end=b"q", start_revision=first)
    heard = Heard(server, create, PROGRESS, create, PROGRESS).read()
    try:
        answers = heard.until(
            lambda got: (
                sum(len(one.events) for one in got) == 2 * 3001 and is_progress(got[-1])
                if ETCD_35 is None or check_progress(got)
                else True
            )
        )
        return check_progress(answers) and answers[-1].header.revision >= last
    finally:
        heard.close()


def test_15220_a_progress_notification_does_not_overtake_its_stream(server: Any) -> None:
    assert progress_behind_a_long_history(server)


@pytest.mark.skipif(ETCD_35 is None, reason="needs $ETCD35")
def test_15220_shows_at_etcd_3_5_1(side_by_side: ModuleType) -> None:
    with side_by_side.running([str(Path(str(ETCD_35)) / "etcd")]) as address:
        etcd = side_by_side.Server(address)
        try:
            assert not progress_behind_a_long_history(etcd)
        finally:
            etcd.close()


def test_15271_a_client_does_not_go_back_after_progress_of_a_member_that_lags() -> None:
    cursor = WatchCursor(watch_request(b"a", start_revision=5))

    def answer(revision: int, *revisions: int) -> WatchBatch | None:
        response = pb.WatchResponse(header=pb.ResponseHeader(revision=revision))
        for one in revisions:
            response.events.add().kv.mod_revision = one
        return cursor.take(response, "")

    assert answer(10, 8, 10) is not None
    assert cursor.request().start_revision == 11
    # Another member that has not got so far, or the same one after a partition.
    assert answer(7) is None
    assert cursor.request().start_revision == 11
    assert answer(10) is not None
    assert cursor.request().start_revision == 11
    assert answer(12) is not None
    assert cursor.request().start_revision == 13


def test_17247_no_event_comes_twice_and_no_transaction_is_cut(server: Any) -> None:
    rng = random.Random(17247)
    first = put(server, b"t") + 1
    heard = [Heard(server, creation(key=b"t", range_end=b"u"), creation(key=b"t1")).read()]
    heard[0].until(lambda got: len(got) == 2)
    wanted = []
    # More events than go into one answer (1000), in transactions that do not fit its size evenly, nested ones too.
    for _ in range(180):
        keys = rng.sample(range(20), rng.randint(3, 13))
        ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"t%d" % n, value=b"v")) for n in keys]
        nested = pb.TxnRequest(success=ops[:2])
        request = pb.TxnRequest(success=[*ops[2:], pb.RequestOp(request_txn=nested)])
        revision = call(server, "KV/Txn", request).header.revision
        wanted += sorted((revision, b"t%d" % n) for n in keys)
    heard.append(
        Heard(
            server,
            creation(key=b"t", range_end=b"u", start_revision=first),
            creation(key=b"t1", start_revision=first),
        ).read()
    )
    only = [pair for pair in wanted if pair[1] == b"t1"]
    for one in heard:
        answers = one.until(
            lambda got: sum(len(answer.events) for answer in got) >= len(wanted) + len(only)
        )
        one.close()
        seen: dict[int, list[Any]] = {0: [], 1: []}
        last: dict[int, int] = {0: 0, 1: 0}
        for answer in answers:
            for event in answer.events:
                seen[answer.watch_id].append((event.kv.mod_revision, event.kv.key))
            if answer.events:
                # The next answer begins with a later revision: a transaction is whole.
                assert answer.events[0].kv.mod_revision > last[answer.watch_id]
                last[answer.watch_id] = answer.events[-1].kv.mod_revision
        assert sorted(seen[0]) == sorted(wanted)
        assert seen[1] == only
        revisions = [revision for revision, _ in seen[0]]
        assert revisions == sorted(revisions)


def test_17529_a_starved_stream_loses_nothing_or_says_so(server: Any) -> None:
    watches, writes = 60, 60
    first = put(server, b"w") + 1
    create = creation(key=b"w", range_end=b"x", prev_kv=True, start_revision=first)
    heard = Heard(server, *[create] * watches)
    other = Heard(server, creation(key=b"w", range_end=b"x", start_revision=first)).read()
    other.until(lambda got: got)
    # Nobody reads the stream: what its connection does not hold waits in the server.
    for number in range(writes):
        last = put(server, b"w%d" % (number % 7), b"-" * 4096)
    other.until(lambda got: len(events_of(got)) == writes)
    compact(server, last)
    heard.read()

    def is_over(answers: list[pb.WatchResponse]) -> bool:
        ended = {one.watch_id for one in answers if one.canceled}
        whole = {
            one.watch_id for one in answers if one.events and one.events[-1].kv.mod_revision == last
        }
        return len(ended | whole) == watches

    answers = heard.until(is_over, 40.0)
    heard.close()
    other.close()
    cancelled = 0
    for watch_id in range(watches):
        own = [one for one in answers if one.watch_id == watch_id]
        revisions = [event.kv.mod_revision for event in events_of(own)]
        assert revisions == list(range(first, first + len(revisions))), "a gap"
        if own[-1].canceled:
            cancelled += 1
            assert own[-1].compact_revision == last
        else:
            assert revisions[-1] == last
    assert cancelled, "the stream was not starved"


def test_18089_a_delete_is_not_dropped_by_a_compaction_on_it() -> None:
    machine = StateMachine()
    hub = WatchHub(machine)
    commands = [Put(b"d1"), Put(b"d2"), DeleteRange(b"d1"), DeleteRange(b"d2"), Compact(5)]
    outcomes = [machine.apply(n, [encode(one)]) for n, one in enumerate(commands[:4], start=1)]
    hub.on_applied([outcome for group in outcomes for outcome in group])
    # A watch that has not been told yet when the compaction comes.
    stream = hub.open()
    stream.create(WatchSpec(b"d", b"e", start_revision=5))
    hub.on_applied(machine.apply(5, [encode(commands[4])]))
    while machine.reclaim(1):
        pass
    batch = stream.take()
    assert isinstance(batch, ServiceBatch)
    assert [(one.kv.key, one.kv.mod_revision, one.is_delete) for one in batch.events] == [
        (b"d2", 5, True)
    ]


def test_19179_a_watch_from_the_compacted_revision_sees_the_delete(server: Any) -> None:
    put(server, b"d1")
    put(server, b"d2")
    before = delete(server, b"d1")
    at = delete(server, b"d2")
    compact(server, at)
    heard = Heard(server, creation(key=b"d", range_end=b"e", start_revision=at)).read()
    answers = heard.until(lambda got: events_of(got))
    heard.close()
    seen = [(one.type, one.kv.key, one.kv.mod_revision) for one in events_of(answers)]
    assert seen == [(1, b"d2", at)]
    gone = Heard(server, creation(key=b"d", range_end=b"e", start_revision=before)).read()
    answers = gone.until(lambda got: got and got[-1].canceled)
    gone.close()
    assert answers[-1].compact_revision == at


def test_18667_a_transaction_that_reads_a_compacted_revision_does_nothing(server: Any) -> None:
    old = put(server, b"c", b"1")
    last = put(server, b"c", b"2")
    compact(server, last)
    read = pb.RequestOp(request_range=pb.RangeRequest(key=b"c", revision=old))
    write = pb.RequestOp(request_put=pb.PutRequest(key=b"c", value=b"3"))
    nested = pb.RequestOp(request_txn=pb.TxnRequest(success=[read]))
    for ops in ([write, read], [read, write], [read], [nested], [write, nested]):
        with pytest.raises(grpc.RpcError) as refused:
            call(server, "KV/Txn", pb.TxnRequest(success=ops))
        assert refused.value.code() is grpc.StatusCode.OUT_OF_RANGE
        assert refused.value.details() == "etcdserver: mvcc: required revision has been compacted"
        # What is not chosen does not count.
        skipped = pb.TxnRequest(
            compare=[pb.Compare(key=b"c", target=2, mod_revision=1)], success=ops
        )
        assert not call(server, "KV/Txn", skipped).succeeded
    found = call(server, "KV/Range", pb.RangeRequest(key=b"c"))
    assert (found.kvs[0].value, found.header.revision) == (b"2", last)
    future = pb.RequestOp(request_range=pb.RangeRequest(key=b"c", revision=last + 1))
    with pytest.raises(grpc.RpcError, match="future revision"):
        call(server, "KV/Txn", pb.TxnRequest(success=[write, future]))


def test_20221_a_watch_on_the_future_is_told_nothing_older(server: Any) -> None:
    now = put(server, b"f")
    start = now + 6
    heard = Heard(
        server,
        creation(key=b"f", start_revision=start, progress_notify=True),
        PROGRESS,
        creation(key=b"g", start_revision=start, progress_notify=True),
    ).read()
    quiet = Heard(server, creation(key=b"nobody", progress_notify=True)).read()
    heard.until(lambda got: len(got) == 2)
    # Two rounds of the timer, which a watch of now is told about.
    quiet.until(lambda got: len([one for one in got if is_progress(one)]) >= 2)
    assert len(heard.until(lambda got: True)) == 2
    for _ in range(8):
        last = put(server, b"f")
    answers = heard.until(
        lambda got: (
            events_of(got)
            and events_of(got)[-1].kv.mod_revision == last
            and {one.watch_id for one in got if is_progress(one)} >= {-1, 1}
        )
    )
    heard.close()
    quiet.close()
    assert [event.kv.mod_revision for event in events_of(answers)] == list(range(start, last + 1))
    assert all(one.header.revision >= start - 1 for one in answers if is_progress(one))
    assert check_progress(answers)
