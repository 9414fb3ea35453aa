"""What every Replicator keeps, checked on the single one and on a PySync cluster of one and of three."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kvstore.base.clock import SystemClock
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.replicator import (
    MemberId,
    RaftSettings,
    Replicator,
    Stopped,
    TooManyRequests,
    TransferFailed,
)
from kvstore.raft.single import SingleReplicator


class Lines:
    """An applier that appends; a result is the position."""

    def __init__(self) -> None:
        self.applied_index = 0
        self.lines: list[bytes] = []

    def apply(self, index: int, commands: Sequence[bytes]) -> list[int]:
        if index <= self.applied_index:
            return []
        self.applied_index = index
        start = len(self.lines)
        self.lines.extend(commands)
        return list(range(start, len(self.lines)))

    def snapshot(self) -> Iterator[bytes]:
        yield b"\n".join([str(self.applied_index).encode(), *self.lines])

    def restore(self, chunks: Iterable[bytes]) -> None:
        first, *self.lines = b"".join(chunks).split(b"\n")
        self.applied_index = int(first)


class Group:
    def __init__(self, members: list[Any], appliers: list[Lines]) -> None:
        self.members: list[Replicator] = members
        self.appliers = appliers

    async def leader(self) -> Replicator:
        async with asyncio.timeout(10):
            while True:
                for member in self.members:
                    status = member.status()
                    if status.leader_id == status.member_id:
                        return member
                await asyncio.sleep(0.005)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(params=["single", "pysync-1", "pysync-3"])
async def group(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Group]:
    appliers, members = [], []
    if request.param == "single":
        appliers = [Lines()]
        members = [SingleReplicator(appliers[0])]
    else:
        ports = free_ports(int(request.param[-1]))
        peers = {MemberId(n + 1): ("127.0.0.1", port) for n, port in enumerate(ports)}
        for member in peers:
            applier = Lines()
            appliers.append(applier)
            settings = RaftSettings(member, peers, tmp_path / str(member), max_in_flight=500)
            members.append(
                PySyncReplicator(settings, applier, SystemClock(), random.Random(member))
            )
    for each in members:
        await each.start()
    yield Group(members, appliers)
    for each in members:
        await each.stop()


async def test_results_come_in_the_order_of_application(group: Group) -> None:
    for member in group.members:
        first = await member.propose(b"a", 5)
        assert await member.propose(b"b", 5) == first + 1


async def test_many_at_once_are_all_applied_exactly_once(group: Group) -> None:
    sent = [b"%d" % n for n in range(300)]
    results = await asyncio.gather(
        *(group.members[n % len(group.members)].propose(c, 10) for n, c in enumerate(sent))
    )
    assert sorted(results) == list(range(300))
    leader = await group.leader()
    lines = group.appliers[group.members.index(leader)].lines
    assert sorted(lines) == sorted(sent)
    assert all(lines[result] == command for command, result in zip(sent, results, strict=True))


async def test_a_read_index_shows_what_was_acknowledged(group: Group) -> None:
    for number in range(20):
        await group.members[number % len(group.members)].propose(b"r%d" % number, 5)
        reader = (number + 1) % len(group.members)
        index = await group.members[reader].read_index(5)
        assert group.appliers[reader].applied_index >= index
        assert b"r%d" % number in group.appliers[reader].lines


async def test_status_is_ordered(group: Group) -> None:
    await group.members[0].propose(b"s", 5)
    for member in group.members:
        status = member.status()
        assert status.applied_index <= status.commit_index <= status.last_index


async def test_applied_callbacks_get_each_entry_in_order(group: Group) -> None:
    seen: list[Any] = []
    group.members[0].on_applied(seen.extend)
    await asyncio.gather(*(group.members[0].propose(b"x", 5) for _ in range(50)))
    assert seen == list(range(50))


async def test_only_a_member_can_be_handed_leadership(group: Group) -> None:
    leader = await group.leader()
    with pytest.raises(TransferFailed):
        await leader.transfer_leadership(MemberId(77), 1)
    await leader.transfer_leadership(leader.status().member_id, 1)


async def test_a_stopped_member_refuses(group: Group) -> None:
    await group.members[0].propose(b"x", 5)
    await group.members[0].stop()
    await group.members[0].stop()
    with pytest.raises(Stopped):
        await group.members[0].propose(b"y", 1)
    with pytest.raises(Stopped):
        await group.members[0].read_index(1)


async def test_what_is_above_the_limit_is_refused_at_once(group: Group) -> None:
    if isinstance(group.members[0], SingleReplicator):
        pytest.skip("the single replicator has nothing in flight")
    results = await asyncio.gather(
        *(group.members[0].propose(b"x", 5) for _ in range(600)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, TooManyRequests)]
    assert len(refused) == 100
    assert len([each for each in results if isinstance(each, int)]) == 500
