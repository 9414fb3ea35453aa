"""Three members in one process on real sockets and disks: restarts, partitions, snapshots, transfer, strangers."""

import asyncio
import random
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvstore.base.clock import SystemClock
from kvstore.raft.files import Files
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.replicator import (
    DamagedData,
    MemberId,
    NoLeader,
    OutcomeUnknown,
    RaftSettings,
)

IDS = [MemberId(1), MemberId(2), MemberId(3)]


class Words:
    def __init__(self) -> None:
        self.applied_index = 0
        self.words: list[bytes] = []

    def apply(self, index: int, commands: Sequence[bytes]) -> list[int]:
        if index <= self.applied_index:
            return []
        self.applied_index = index
        self.words.extend(commands)
        return [index] * len(commands)

    def snapshot(self) -> Iterator[bytes]:
        data = msgspec.msgpack.encode((self.applied_index, self.words))
        return iter([data[at : at + 1000] for at in range(0, len(data), 1000)])

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.applied_index, self.words = msgspec.msgpack.decode(b"".join(chunks))


class Cuts:
    """A LinkFilter with members cut off."""

    def __init__(self) -> None:
        self.off: set[MemberId] = set()

    def allows_connect(self, source: MemberId, target: MemberId) -> bool:
        return not {source, target} & self.off

    def allows_message(self, source: MemberId, target: MemberId, kind: str) -> bool:
        return not {source, target} & self.off


class Cluster:
    def __init__(self, root: Path) -> None:
        self.root, self.cuts = root, Cuts()
        sockets = [socket.socket() for _ in IDS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        self.peers = {
            member: ("127.0.0.1", each.getsockname()[1])
            for member, each in zip(IDS, sockets, strict=True)
        }
        for each in sockets:
            each.close()
        self.up: dict[MemberId, PySyncReplicator] = {}
        self.appliers: dict[MemberId, Words] = {}
        self.snapshot_count = 10_000
        self.files: dict[MemberId, Files] = {}

    async def start(self, *members: MemberId) -> None:
        for member in members or IDS:
            self.appliers[member] = Words()
            settings = RaftSettings(
                member, self.peers, self.root / str(member), snapshot_count=self.snapshot_count
            )
            replicator = PySyncReplicator(
                settings,
                self.appliers[member],
                SystemClock(),
                random.Random(member),
                link_filter=self.cuts,
                files=self.files.get(member),
            )
            await replicator.start()
            self.up[member] = replicator

    async def stop(self, *members: MemberId) -> None:
        for member in members or list(self.up):
            await self.up.pop(member).stop()

    async def leader(self, *, among: Iterable[MemberId] = IDS) -> MemberId:
        found: list[MemberId] = []

        def led() -> bool:
            found[:] = [m for m in among if m in self.up and self.up[m].status().leader_id == m]
            return len(found) == 1

        await until(led, "a leader")
        return found[0]

    def followers(self, leader: MemberId) -> list[MemberId]:
        return [member for member in IDS if member != leader]


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {what}")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    await made.stop()


async def test_everything_is_there_after_all_restart(cluster: Cluster) -> None:
    await cluster.start()
    sent = [b"%d" % n for n in range(200)]
    await asyncio.gather(*(cluster.up[IDS[0]].propose(each, 5) for each in sent))
    await cluster.stop()
    await cluster.start()
    await cluster.up[IDS[1]].read_index(5)
    assert sorted(cluster.appliers[IDS[1]].words) == sorted(sent)


async def test_a_majority_goes_on_without_the_leader_and_it_comes_back(cluster: Cluster) -> None:
    await cluster.start()
    await cluster.up[IDS[0]].propose(b"one", 5)
    leader = await cluster.leader()
    await cluster.stop(leader)
    other = cluster.followers(leader)[0]
    await cluster.up[other].propose(b"two", 5)
    await cluster.start(leader)
    await cluster.up[leader].propose(b"three", 5)
    assert cluster.appliers[leader].words == [b"one", b"two", b"three"]


async def test_a_cut_off_leader_steps_down_and_acknowledges_nothing(cluster: Cluster) -> None:
    await cluster.start()
    await cluster.up[IDS[0]].propose(b"before", 5)
    leader = await cluster.leader()
    cluster.cuts.off.add(leader)
    with pytest.raises((OutcomeUnknown, NoLeader)):
        await cluster.up[leader].propose(b"lost", 1.0)
    with pytest.raises((OutcomeUnknown, NoLeader)):
        await cluster.up[leader].read_index(0.5)
    assert cluster.up[leader].status().leader_id != leader
    rest = cluster.followers(leader)
    assert await cluster.leader(among=rest) in rest
    await cluster.up[rest[0]].propose(b"after", 5)
    cluster.cuts.off.clear()
    await until(lambda: b"after" in cluster.appliers[leader].words, "the healed member")
    assert cluster.appliers[leader].words == [b"before", b"after"]


async def test_proposals_in_flight_survive_a_change_of_leader(cluster: Cluster) -> None:
    await cluster.start()
    leader = await cluster.leader()
    one, two = cluster.followers(leader)
    sent = [b"%d" % n for n in range(300)]
    tasks = [
        asyncio.ensure_future(cluster.up[(one, two)[n % 2]].propose(each, 10))
        for n, each in enumerate(sent)
    ]
    await asyncio.sleep(0)
    cluster.cuts.off.add(leader)
    await asyncio.gather(*tasks)
    await cluster.up[one].read_index(5)
    assert sorted(cluster.appliers[one].words) == sorted(sent)


async def test_a_member_far_behind_gets_a_snapshot(cluster: Cluster) -> None:
    cluster.snapshot_count = 20
    await cluster.start()
    leader = await cluster.leader()
    behind = cluster.followers(leader)[0]
    await cluster.stop(behind)
    for number in range(150):
        await cluster.up[leader].propose(b"%d" % number, 5)
    await cluster.start(behind)
    await until(lambda: len(cluster.appliers[behind].words) == 150, "the state by snapshot")
    assert cluster.appliers[behind].words == cluster.appliers[leader].words
    assert list((cluster.root / str(behind) / "snapshots").glob("*.snap"))
    await cluster.stop()
    await cluster.start()
    await cluster.up[behind].read_index(5)
    assert len(cluster.appliers[behind].words) == 150


async def test_leadership_goes_where_it_is_sent(cluster: Cluster) -> None:
    await cluster.start()
    leader = await cluster.leader()
    gained: list[bool] = []
    lost: list[bool] = []
    target = cluster.followers(leader)[1]
    await cluster.up[leader].propose(b"x", 5)
    cluster.up[target].on_leadership(gained.append)
    cluster.up[leader].on_leadership(lost.append)
    await cluster.up[leader].transfer_leadership(target, 5)
    await cluster.up[leader].propose(b"y", 5)
    assert await cluster.leader() == target
    await until(lambda: gained == [True] and lost == [False], "the callbacks")


async def test_a_returning_member_does_not_disturb_the_leader(cluster: Cluster) -> None:
    await cluster.start()
    leader = await cluster.leader()
    term = cluster.up[leader].status().term
    away = cluster.followers(leader)[0]
    cluster.cuts.off.add(away)
    await asyncio.sleep(1.5)  # several election timeouts of the member that is away
    cluster.cuts.off.clear()
    await cluster.up[leader].propose(b"x", 5)
    await until(lambda: cluster.appliers[away].words == [b"x"], "the member that was away")
    assert cluster.up[leader].status().term == term


async def test_heartbeats_go_on_while_the_disk_is_slow(cluster: Cluster) -> None:
    class SlowDisk(Files):
        slow = False

        def sync_data(self, descriptor: int) -> None:
            if self.slow:
                import time

                time.sleep(1.5)
            super().sync_data(descriptor)

    disks = {member: SlowDisk() for member in IDS}
    cluster.files.update(disks)
    await cluster.start()
    leader = await cluster.leader()
    await cluster.up[leader].propose(b"quick", 5)
    term = cluster.up[leader].status().term
    for disk in disks.values():
        disk.slow = True
    await cluster.up[leader].propose(b"slow", 10)
    for disk in disks.values():
        disk.slow = False
    assert cluster.up[leader].status().term == term


async def test_a_failed_fsync_ends_the_member(cluster: Cluster) -> None:
    class BrokenDisk(Files):
        broken = False

        def sync_data(self, descriptor: int) -> None:
            if self.broken:
                raise OSError(5, "Input/output error")
            super().sync_data(descriptor)

    disk = BrokenDisk()
    cluster.files[IDS[0]] = disk
    await cluster.start()
    await cluster.up[IDS[0]].propose(b"x", 5)
    run = asyncio.ensure_future(cluster.up[IDS[0]].run())
    disk.broken = True
    await cluster.up[IDS[1]].propose(b"y", 5)
    with pytest.raises(OSError, match="Input/output"):
        await asyncio.wait_for(run, 60)


async def test_damage_is_refused_and_a_wiped_member_filled_again(cluster: Cluster) -> None:
    await cluster.start()
    for number in range(10):
        await cluster.up[IDS[0]].propose(b"%d" % number, 5)
    leader = await cluster.leader()
    victim = cluster.followers(leader)[0]
    await cluster.stop(victim)
    path = next((cluster.root / str(victim) / "log").glob("*.log"))
    data = bytearray(path.read_bytes())
    data[64 + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedData, match=str(path)):
        await cluster.start(victim)
    shutil.rmtree(cluster.root / str(victim))
    await cluster.start(victim)
    await until(lambda: len(cluster.appliers[victim].words) == 10, "the wiped member's state")


def frame(message: Any) -> bytes:
    body = msgspec.msgpack.encode(message)
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff\xff", id="huge_frame"),
        pytest.param(struct.pack(">I", 4) + b"\xc1\xc1\xc1\xc1", id="no_msgpack"),
        pytest.param(frame({"type": "request_vote", "term": 99}), id="no_hello"),
        pytest.param(
            frame({"type": "hello", "version": 1, "cluster": 0, "from": 0, "facts": {}}),
            id="no_member",
        ),
        pytest.param(
            frame({"type": "hello", "version": 1, "cluster": 5, "from": 2, "facts": {}}),
            id="other_cluster",
        ),
    ],
)
async def test_strangers_are_cut_off(cluster: Cluster, data: bytes) -> None:
    await cluster.start()
    leader = await cluster.leader()
    reader, writer = await asyncio.open_connection(*cluster.peers[leader])
    writer.write(data)
    with suppress(ConnectionError):
        async with asyncio.timeout(60):
            while await reader.read(1 << 16):
                pass
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    await cluster.up[leader].propose(b"x", 5)
