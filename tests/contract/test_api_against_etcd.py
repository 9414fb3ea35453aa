"""The whole KV, Lease and Watch surface beside a real etcd: the same random calls, the same answers.

Over gRPC, to a member of this store as a process and to etcd 3.4 and 3.5.1, wherever they are.
A change, then some reads at once, now and then watches and a compaction. SEED=1000 draws others, CALLS=100000 more.
"""

import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kvstore.pb import rpc_pb2 as pb

CALLS = int(os.environ.get("CALLS", "5000"))
"""Of each of the two comparisons."""
SEED = int(os.environ.get("SEED", "1"))
SYNC_SECONDS = 0.2
"""etcd looks every 0.1 s after watches that begin in the past."""
STEPS = 12
LOOKS = 7

ETCD_34 = shutil.which("etcd")
ETCD_35 = os.environ.get("ETCD35")


class Pair:
    """Ours and a real one, which get the same."""

    def __init__(self, side_by_side: ModuleType, ours: Any, theirs: Any) -> None:
        self.side_by_side = side_by_side
        self.ours = ours
        self.theirs = theirs
        self.count = 0
        self.refusals: set[str] = set()
        self.trail: list[Any] = [""]
        self.compacted: set[int] = set()
        self.behind_until = 0.0

    def ask(self, *calls: Any) -> list[Any]:
        """The answers to calls that do not disturb each other."""
        self.trail = [self.trail[0], *self.trail[-12:], *calls]
        begun = zip(calls, self.ours.send(calls), self.theirs.send(calls), strict=True)
        found = []
        for call, mine, original in begun:
            wanted = self.side_by_side.answer(original)
            assert self.side_by_side.answer(mine) == wanted, f"{call}\n{self.recent}"
            if isinstance(wanted, tuple):
                self.refusals.add(wanted[1])
            found.append(wanted)
        self.count += len(calls)
        return found

    @property
    def recent(self) -> str:
        """What was asked last, a line each."""
        return "\n".join(" ".join(str(one).split()) for one in self.trail)

    def settle(self) -> None:
        assert self.ours.watch.progress == self.theirs.watch.progress
        self.side_by_side.settled(self.ours, self.theirs, self.compacted, self.recent)

    def clear(self, calls: Any) -> None:
        """Without keys, leases and watches, but with the past."""
        for lease_id in (1, 2, 3, 77):
            self.ask(("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease_id)))
        every = pb.DeleteRangeRequest(key=b"\0", range_end=b"\0")
        (answer,) = self.ask(("KV/DeleteRange", every))
        calls.now, calls.compacted = answer.header.revision, max(self.compacted, default=0)
        self.settle()
        for server in (self.ours, self.theirs):
            server.watch.reset()

    def keep_alive(self, lease_id: int) -> None:
        self.count += 1
        assert self.ours.keep_alive(lease_id) == self.theirs.keep_alive(lease_id), lease_id

    def watch(self, **request: Any) -> None:
        """Say it on both watch streams; a creation is waited for."""
        self.trail.append(request)
        for server in (self.ours, self.theirs):
            before = server.watch.created
            server.watch.send(**request)
            if "create_request" in request:
                assert server.watch.wait(lambda at=before, s=server: s.watch.created > at), request
            else:
                # A cancelled watch is answered, one that is not there is not: this refusal comes after it.
                empty = pb.WatchCreateRequest(key=b"b", range_end=b"a")
                server.watch.send(create_request=empty)
                assert server.watch.wait(lambda at=before, s=server: s.watch.created > at), request
        self.count += 1


@pytest.fixture(scope="module", params=["3.4", "3.5"])
def pair(request: pytest.FixtureRequest, side_by_side: ModuleType) -> Iterator[Pair]:
    original = ETCD_34 if request.param == "3.4" else ETCD_35 and str(Path(ETCD_35) / "etcd")
    if not original:
        pytest.skip(f"etcd {request.param} is not here")
    run = side_by_side.running
    with run([sys.executable, "-m", "kvstore"]) as here, run([original]) as there:
        ours, theirs = side_by_side.Server(here), side_by_side.Server(there)
        try:
            yield Pair(side_by_side, ours, theirs)
        finally:
            ours.close()
            theirs.close()


def test_random_calls_are_answered_as_etcd_does(pair: Pair, random_calls: ModuleType) -> None:
    for number in range(SEED, SEED + CALLS // (STEPS * LOOKS) + 1):
        calls = random_calls.RandomCalls(random.Random(number))
        pair.trail = [f"seed {number}"]
        pair.clear(calls)
        for _ in range(STEPS):
            step(pair, calls)
        pair.settle()
    print(f"{pair.count} calls, {len(pair.refusals)} kinds of refusals: {pair.refusals}")
    assert pair.count >= CALLS
    assert len(pair.refusals) >= 9, "too tame a run"


def step(pair: Pair, calls: Any) -> None:
    """A change and what shows it."""
    change = calls.change()
    (answer,) = pair.ask(change)
    if not isinstance(answer, tuple):
        calls.now = answer.header.revision
    pair.ask(*(calls.look() for _ in range(LOOKS)))
    if calls.sometimes(0.35):
        create = calls.watch()
        pair.watch(create_request=create)
        if create.start_revision:
            pair.behind_until = time.monotonic() + SYNC_SECONDS
    if calls.sometimes(0.1):
        # What was opened in the past is told so in its server's own time.
        pair.settle()
        pair.watch(cancel_request=pb.WatchCancelRequest(watch_id=calls.rng.randint(-1, 7)))
    if calls.sometimes(0.06):
        pair.settle()
        # A watch that has nothing to tell yet must have been looked at, too.
        time.sleep(max(0.0, pair.behind_until - time.monotonic()))
        compaction = calls.compaction()
        (answer,) = pair.ask(("KV/Compact", compaction))
        if not isinstance(answer, tuple):
            pair.compacted.add(compaction.revision)
            calls.compacted = compaction.revision
    if calls.sometimes(0.05):
        pair.keep_alive(calls.rng.choice((1, 2, 77, 0)))


def test_large_answers_are_cut_alike(pair: Pair) -> None:
    calls = Cleared()
    pair.clear(calls)
    first = calls.now + 1
    for number in range(12):
        pair.ask(("KV/Put", pb.PutRequest(key=b"f%d" % number, value=b"-" * 300_000)))
    for is_cut in (True, False):
        create = pb.WatchCreateRequest(
            key=b"f", range_end=b"g", start_revision=first, fragment=is_cut
        )
        pair.watch(create_request=create)
    pair.settle()
    ours, theirs = (sorted(one.watch.fragments) for one in (pair.ours, pair.theirs))
    # The watch that asked for fragments is told in the same ones.
    assert [row for row in ours if row[0] == 0] == [row for row in theirs if row[0] == 0]
    assert len([row for row in ours if row[0] == 0]) > 1
    # The other is told all at once by etcd, which breaks clients' limit of 4 MiB; here between revisions.
    assert [row[1] for row in theirs if row[0] == 1] == [12]
    counts = [row[1] for row in ours if row[0] == 1]
    assert len(counts) > 1
    assert sum(counts) == 12


def test_too_large_requests_are_refused_alike(pair: Pair) -> None:
    for size in (1_572_000, 1_573_000, 1_700_000, 2_500_000):
        pair.ask(("KV/Put", pb.PutRequest(key=b"large", value=b"-" * size)))
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"%d" % n, value=b"-" * 900_000))
        for n in range(2)
    ]
    pair.ask(("KV/Txn", pb.TxnRequest(success=ops)))
    assert "etcdserver: request is too large" in pair.refusals


def test_leases_end_alike(pair: Pair) -> None:
    pair.clear(Cleared())
    pair.watch(create_request=pb.WatchCreateRequest(key=b"e", range_end=b"f", prev_kv=True))
    # Below the smallest TTL both grant that one.
    pair.ask(("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=501, TTL=1)))
    pair.ask(("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=502, TTL=4)))
    for key in (b"e9", b"e1", b"e5"):
        pair.ask(("KV/Put", pb.PutRequest(key=key, lease=501)))
        pair.ask(("KV/Put", pb.PutRequest(key=key + b"x", lease=502)))
    # A key that moved to another lease, and one that lost its lease, stay.
    pair.ask(("KV/Put", pb.PutRequest(key=b"e5", lease=502)))
    pair.ask(("KV/Put", pb.PutRequest(key=b"e9")))
    for server in (pair.ours, pair.theirs):
        assert server.watch.wait(lambda s=server: len(s.watch.told[0]) == 1 + 8 + 5, 30)
    pair.settle()
    deleted = [(at, kv) for kind, at, kv, _ in pair.ours.watch.told[0][1:] if kind == 1]
    # Each lease ends in one revision, whatever the number of its keys.
    assert [at - deleted[0][0] for at, _ in deleted] == [0, 1, 1, 1, 1]
    for lease_id in (501, 502):
        pair.ask(("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)))
        pair.keep_alive(lease_id)
    pair.ask(("KV/Range", pb.RangeRequest(key=b"e", range_end=b"f")))


class Cleared:
    """What `Pair.clear` tells of the revisions."""

    now = 0
    compacted = 0
