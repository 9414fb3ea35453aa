"""Whole clusters in one thread on a virtual clock: seeded kills, partitions, loss, slow disks and snapshots.

The cores are the real ones, the library included; network, time and the moment when disk work is done are simulated.
A kill loses all disk work that had not ended. Checked: one command per index everywhere, acknowledged proposals
survive on all members, applied at most once, a read index covers all that was acknowledged before, one leader a term.
"""

import heapq
import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvstore.raft.files import Files
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.core import Core
from kvstore.raft.replicator import MemberId, RaftSettings


class NoSyncFiles(Files):
    """Real files; what the simulation calls durable is what was written before the kill."""

    def sync_data(self, descriptor: int) -> None:
        pass

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class VirtualClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the core never sleeps")


class ListApplier:
    """Keeps every (index, command); results are indexes."""

    def __init__(self) -> None:
        self.applied_index = 0
        self.items: list[tuple[int, bytes]] = []

    def apply(self, index: int, commands: Any) -> list[int]:
        if index <= self.applied_index:
            return []
        assert self.applied_index == 0 or index > self.applied_index
        self.applied_index = index
        self.items.extend((index, command) for command in commands)
        return [index] * len(commands)

    def snapshot(self) -> Any:
        data = msgspec.msgpack.encode((self.applied_index, self.items))
        for start in range(0, len(data), 700):
            yield data[start : start + 700]

    def restore(self, chunks: Any) -> None:
        index, items = msgspec.msgpack.decode(b"".join(chunks))
        self.applied_index, self.items = index, [(i, c) for i, c in items]


class Member:
    def __init__(self, world: "World", member_id: MemberId) -> None:
        self.world, self.id = world, member_id
        self.boot = 0
        self.core: Core | None = None
        self.applier = ListApplier()
        self.lanes: dict[str, float] = {}
        self.turn_due = False
        self.slow_disk = False

    def start(self) -> None:
        self.boot += 1
        self.lanes, self.turn_due = {}, False
        self.applier = ListApplier()
        settings = RaftSettings(
            member_id=self.id,
            peers=dict.fromkeys(self.world.ids, ("", 0)),
            data_dir=self.world.root / str(self.id),
            snapshot_count=self.world.snapshot_count,
        )
        rng = random.Random(self.world.rng.getrandbits(32))
        core = Core(settings, self.applier, self.world.clock, rng, self, NoSyncFiles())
        core.journal._segment_bytes = 1 << 14
        core.load()
        self.core = core
        self.wake()

    def kill(self) -> None:
        core, self.core = self.core, None
        assert core is not None
        self.boot += 1
        self.world.drop_links_of(self.id)
        core._snapshotting.close()
        core.journal.close()
        core.proposals.fail_all(RuntimeError("killed"))
        core.reads.fail_all(RuntimeError("killed"))

    # Shell

    def send(self, member: MemberId, message: Any) -> bool:
        return self.world.send(self.id, member, message)

    def push(self) -> None:
        pass

    def offload(
        self, lane: str, work: Callable[[], Any], done: Callable[[Any], None] | None = None
    ) -> None:
        boot, rng = self.boot, self.world.rng
        took = rng.uniform(0.0003, 0.004) if not self.slow_disk else rng.uniform(0.05, 0.4)
        at = max(self.lanes.get(lane, 0.0), self.world.clock.now) + took
        self.lanes[lane] = at

        def run() -> None:
            if self.boot == boot:
                result = work()
                if done is not None:
                    done(result)

        self.world.at(at, run)

    def wake(self) -> None:
        if not self.turn_due:
            self.turn_due = True
            self.world.at(self.world.clock.now, self._turn_of(self.boot))

    def _turn_of(self, boot: int) -> Callable[[], None]:
        def turn() -> None:
            if self.boot != boot or self.core is None:
                return
            self.turn_due = False
            deadline = self.core.turn()
            self.world.saw_leader(self.core)
            self.world.at(max(deadline, self.world.clock.now + 0.001), self._timer_of(boot))

        return turn

    def _timer_of(self, boot: int) -> Callable[[], None]:
        def fire() -> None:
            if self.boot == boot:
                self.wake()

        return fire


class World:
    def __init__(self, root: Path, seed: int, size: int = 3, snapshot_count: int = 25) -> None:
        self.root, self.rng, self.clock = root, random.Random(seed), VirtualClock()
        self.snapshot_count = snapshot_count
        self.ids = [MemberId(i + 1) for i in range(size)]
        self.members = {i: Member(self, i) for i in self.ids}
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.links: dict[tuple[MemberId, MemberId], list[float]] = {}
        self.cut: set[frozenset[MemberId]] = set()
        self.loss = 0.0
        self.leaders: dict[int, MemberId] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.pending: dict[bytes, Any] = {}
        self.reads: list[tuple[int, Any]] = []

    def at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.order), event))

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.events and self.events[0][0] <= end:
            when, _, event = heapq.heappop(self.events)
            self.clock.now = max(self.clock.now, when)
            event()
        self.clock.now = end

    # Network: a link is one connection, first in first out; a new one has a new list.

    def connect(self) -> None:
        for a, b in itertools.combinations(self.ids, 2):
            one, two = self.members[a].core, self.members[b].core
            up = one is not None and two is not None and frozenset((a, b)) not in self.cut
            if up and (a, b) not in self.links:
                self.links[a, b], self.links[b, a] = [0.0], [0.0]
                one.connected(b, two.hello())
                two.connected(a, one.hello())

    def drop_links_of(self, member: MemberId) -> None:
        for other in self.ids:
            if other != member:
                self.drop_link(member, other)

    def drop_link(self, a: MemberId, b: MemberId) -> None:
        if self.links.pop((a, b), None) is not None:
            self.links.pop((b, a))
            for one, other in ((a, b), (b, a)):
                core = self.members[one].core
                if core is not None:
                    core.disconnected(other)

    def send(self, source: MemberId, target: MemberId, message: Any) -> bool:
        link = self.links.get((source, target))
        if link is None:
            return False
        if self.rng.random() < self.loss:
            return True
        link[0] = max(link[0], self.clock.now + self.rng.uniform(0.0001, 0.003))
        wire = msgspec.msgpack.encode(message)

        def arrive() -> None:
            core = self.members[target].core
            if self.links.get((source, target)) is link and core is not None:
                decoded = msgspec.msgpack.decode(wire)
                assert guards.is_known_message(decoded), decoded
                core.receive(source, decoded)

        self.at(link[0], arrive)
        return True

    def saw_leader(self, core: Core) -> None:
        if core.sync.is_leader():
            who = core.status().member_id
            assert self.leaders.setdefault(core.sync.term(), who) == who, "two leaders in a term"

    # Load

    def propose(self, command: bytes) -> None:
        up = [member for member in self.members.values() if member.core is not None]
        if not up:
            return
        member = self.rng.choice(up)
        core = member.core
        assert core is not None
        future = core.proposals.submit(command, self.clock.now + 2.0)
        core.expires_at(self.clock.now + 2.0)

        self.pending[command] = future
        member.wake()

    def harvest(self) -> None:
        for command, future in list(self.pending.items()):
            if future.done():
                del self.pending[command]
                if not future.cancelled() and future.exception() is None:
                    self.acknowledged[command] = future.result()

    def read(self) -> None:
        up = [member for member in self.members.values() if member.core is not None]
        if up:
            self.harvest()
            member = self.rng.choice(up)
            core = member.core
            assert core is not None
            floor = max(self.acknowledged.values(), default=0)
            self.reads.append((floor, core.reads.submit(self.clock.now + 2.0)))
            core.expires_at(self.clock.now + 2.0)
            member.wake()

    def check(self) -> None:
        self.harvest()
        by_index: dict[int, list[bytes]] = {}
        for member in self.members.values():
            mine: dict[int, list[bytes]] = {}
            for index, command in member.applier.items:
                mine.setdefault(index, []).append(command)
            for index, commands in mine.items():
                assert by_index.setdefault(index, commands) == commands, f"index {index} differs"
            commands_seen = [command for _, command in member.applier.items]
            assert len(commands_seen) == len(set(commands_seen)), "applied twice"
        for floor, future in self.reads:
            if future.done() and not future.cancelled() and future.exception() is None:
                assert future.result() >= floor, "a stale read"


async def let_callbacks_run() -> None:
    import asyncio

    await asyncio.sleep(0)


def disturb(world: World) -> None:
    rng = world.rng
    what = rng.randrange(8)
    member = world.members[rng.choice(world.ids)]
    if what <= 1 and member.core is not None:
        member.kill()
    elif what <= 3:
        for each in world.members.values():
            if each.core is None and rng.random() < 0.7:
                each.start()
    elif what == 4:
        pair = frozenset(rng.sample(world.ids, 2))
        world.cut.add(pair)
        a, b = sorted(pair)
        if rng.random() < 0.5:
            world.drop_link(a, b)
    elif what == 5:
        world.cut.clear()
        world.loss = rng.choice([0.0, 0.0, 0.05, 0.3])
    elif what == 6:
        for each in world.members.values():
            each.slow_disk = rng.random() < 0.25
    elif member.core is not None and member.core.sync.is_leader():
        member.core.begin_transfer(rng.choice([i for i in world.ids if i != member.id]))
        world.run(0.2)
        if member.core is not None:
            member.core.end_transfer()


async def live(world: World, steps: int) -> None:
    numbers = itertools.count()
    for member in world.members.values():
        member.start()
    for _ in range(steps):
        world.connect()
        for _ in range(world.rng.randrange(6)):
            world.propose(b"c%d" % next(numbers))
        if world.rng.random() < 0.5:
            world.read()
        world.run(world.rng.uniform(0.005, 0.12))
        await let_callbacks_run()
        if world.rng.random() < 0.12:
            disturb(world)
        world.check()
    await settle(world)


async def settle(world: World) -> None:
    world.cut.clear()
    world.loss = 0.0
    for member in world.members.values():
        member.slow_disk = False
        if member.core is None:
            member.start()
    for _ in range(400):
        world.connect()
        world.run(0.02)
        await let_callbacks_run()
        statuses = [m.core.status() for m in world.members.values() if m.core is not None]
        leading = [s for s in statuses if s.leader_id == s.member_id]
        if leading and len({s.applied_index for s in statuses}) == 1 and len(leading) == 1:
            break
    else:
        raise AssertionError("the healed cluster did not come together")
    world.propose(b"last")
    world.run(3.0)
    world.harvest()
    assert b"last" in world.acknowledged
    world.check()
    for member in world.members.values():
        held = {command for _, command in member.applier.items}
        lost = set(world.acknowledged) - held
        assert not lost, f"member {member.id} lost {len(lost)} acknowledged proposals"


FIRST = int(os.environ.get("SIM_FIRST", "0"))
SEEDS = int(os.environ.get("SIM_SEEDS", "15"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("size", [3, 5])
async def test_acknowledged_proposals_survive_faults(tmp_path: Path, seed: int, size: int) -> None:
    world = World(tmp_path, seed * 10 + size, size)
    try:
        await live(world, 250)
    finally:
        for member in world.members.values():
            if member.core is not None:
                member.kill()
        await let_callbacks_run()
    assert len(world.acknowledged) > 50


async def test_a_wiped_member_is_filled_again_and_does_not_vote_before(tmp_path: Path) -> None:
    world = World(tmp_path, 7, snapshot_count=10)
    for member in world.members.values():
        member.start()
    for number in range(60):
        world.connect()
        world.propose(b"w%d" % number)
        world.run(0.05)
        await let_callbacks_run()
    victim = world.members[MemberId(2)]
    victim.kill()
    shutil.rmtree(tmp_path / "2")
    victim.start()
    assert victim.core is not None
    world.connect()
    world.run(0.004)
    assert not victim.core.sync.may_vote
    await settle(world)
    assert victim.core.sync.may_vote
    for member in world.members.values():
        member.kill()
    await let_callbacks_run()


async def test_a_leader_that_learns_a_newer_term_waits_before_it_stands_again(
    tmp_path: Path,
) -> None:
    # While the vote of a transfer's target is on its way to the disk, the target's answer to a heartbeat already
    # tells the new term: who handed over must not stand against it at once.
    world = World(tmp_path, 3)
    for member in world.members.values():
        member.start()
    await settle(world)
    cores = [member.core for member in world.members.values() if member.core is not None]
    leader = next(core for core in cores if core.sync.is_leader())
    target = next(core for core in cores if core is not leader).status().member_id
    assert leader.sync._SyncObj__raftElectionDeadline < world.clock.now
    leader.receive(target, {"type": "stale_term", "term": leader.sync.term() + 1})
    assert not leader.sync.is_leader()
    assert (
        leader.sync.next_deadline() >= world.clock.now + leader._settings.election_timeout_seconds
    )
    for member in world.members.values():
        member.kill()
    await let_callbacks_run()


async def test_members_that_start_together_do_not_wait_for_a_timeout(tmp_path: Path) -> None:
    world = World(tmp_path, 11)
    for member in world.members.values():
        member.start()
    world.connect()
    world.run(0.1)
    assert world.leaders == {1: 1}, "the first of equals stands at once, and alone"

    # Started again, it is the one with the most: a leader that lacks what is committed there would not be elected.
    world.members[MemberId(1)].kill()
    world.run(4.0)
    world.connect()
    for number in range(5):
        world.propose(b"more%d" % number)
    world.run(1.0)
    for member in world.members.values():
        if member.core is not None:
            member.kill()
    for member in world.members.values():
        member.start()
    before = max(world.leaders)
    world.connect()
    world.run(0.1)
    assert max(world.leaders) == before + 1
    assert world.leaders[before + 1] != 1
    for member in world.members.values():
        member.kill()
    await let_callbacks_run()


async def test_who_meets_a_leader_does_not_stand(tmp_path: Path) -> None:
    world = World(tmp_path, 12)
    late = world.members[MemberId(1)]
    for member in world.members.values():
        if member is not late:
            member.start()
    world.connect()
    world.run(0.2)
    assert world.leaders == {1: 2}
    late.start()
    world.connect()
    world.run(5.0)
    assert world.leaders == {1: 2}
    for member in world.members.values():
        member.kill()
    await let_callbacks_run()
