"""A follower whose connection to the leader breaks learns what of that was taken, and forwards the rest again."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from kvstore.machine.commands import Put, Range, encode
from kvstore.raft.pysync.messages import AppendEntries, Forward, ForwardLost, Message
from kvstore.raft.replicator import MemberId
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.schedule import make_plan
from kvstore.testing.sim.world import World

LONG_SECONDS = 30.0


@pytest.fixture
def world() -> Any:
    plan = replace(make_plan(3, members=3), faults=(), watchers=0, clients=0, traffic=())
    made = World(plan)
    for member in made.members:
        member.start()
    run(made, 2.0)
    yield made
    made.loop.dispose()


def run(world: World, seconds: float) -> None:
    world.loop.run_until_time(world.loop.now + seconds)
    assert world.loop.errors == []


def core_of(member: SimMember) -> Any:
    return member.core()


def roles(world: World) -> tuple[SimMember, SimMember]:
    """(leader, a follower)."""
    leader = next(one for one in world.members if core_of(one).sync.is_leader())
    return leader, next(one for one in world.members if one is not leader)


def put(member: SimMember, *keys: bytes, only_in_term: int = 0) -> dict[bytes, Any]:
    """Propose all at once; outcomes by key, as they come."""
    booted, process = member.booted, member.process
    assert booted is not None
    assert process is not None
    outcomes: dict[bytes, Any] = {}

    async def propose(key: bytes) -> None:
        try:
            outcomes[key] = await booted.replicator.propose(
                encode(Put(key, b"v")), LONG_SECONDS, only_in_term=only_in_term
            )
        except Exception as error:
            outcomes[key] = error

    async def all_of_them() -> None:
        await asyncio.gather(*(propose(key) for key in keys))

    member.world.loop.spawn(process, all_of_them(), "put")
    return outcomes


def keep_forwards(leader: SimMember) -> list[tuple[MemberId, Message]]:
    """From now on forwarded proposals do not arrive; what was sent."""
    kept: list[tuple[MemberId, Message]] = []
    replicator: Any = leader.booted and leader.booted.replicator
    received = replicator.received

    def without(member: MemberId, message: Message) -> None:
        if isinstance(message, Forward) and message.attempt == 0:
            kept.append((member, message))
        else:
            received(member, message)

    replicator.received = without
    return kept


def reset(world: World, one: SimMember, other: SimMember) -> None:
    """Break the connection between two; they dial again."""
    world.network.reset_between(one.name, other.name)


def versions(world: World) -> list[dict[bytes, int]]:
    found = []
    for member in world.members:
        machine = member.machine()
        assert machine is not None
        reply: Any = machine.range(Range(b"\0", b"\0"))
        found.append({kv.key: kv.version for kv in reply.kvs})
    return found


def test_what_was_lost_with_the_connection_is_forwarded_again(world: World) -> None:
    leader, follower = roles(world)
    kept = keep_forwards(leader)
    outcomes = put(follower, b"a", b"b")
    run(world, 1.0)
    assert kept
    assert outcomes == {}
    reset(world, leader, follower)
    run(world, 2.0)
    assert {key: one.revision for key, one in outcomes.items()} == {b"a": 2, b"b": 3}
    assert versions(world) == [{b"a": 1, b"b": 1}] * 3


def test_what_was_taken_is_not_taken_again(world: World) -> None:
    """It stands in the leader's log, and the follower hears of that only after it has asked."""
    leader, follower = roles(world)
    replicator: Any = leader.booted and leader.booted.replicator
    send, received = replicator.send, replicator.received
    asked: list[Message] = []

    def silent(member: MemberId, message: Message) -> bool:
        is_news = isinstance(message, AppendEntries) and member == follower.number and not asked
        return not is_news and bool(send(member, message))

    def noting(member: MemberId, message: Message) -> None:
        received(member, message)
        if isinstance(message, ForwardLost):
            asked.append(message)

    replicator.send, replicator.received = silent, noting
    outcomes = put(follower, b"a")
    run(world, 0.2)
    assert outcomes == {}
    assert b"a" in versions(world)[leader.number - 1]
    reset(world, leader, follower)
    run(world, 2.0)
    [question] = asked
    assert isinstance(question, ForwardLost)
    assert question.numbers
    assert outcomes[b"a"].revision == 2
    assert versions(world) == [{b"a": 1}] * 3


def test_what_arrives_late_of_a_former_connection_is_not_taken(world: World) -> None:
    leader, follower = roles(world)
    kept = keep_forwards(leader)
    put(follower, b"a")
    run(world, 1.0)
    reset(world, leader, follower)
    run(world, 2.0)
    [(member, forward)] = kept

    async def arrive() -> None:
        core_of(leader).receive(member, forward)

    assert leader.process is not None
    world.loop.spawn(leader.process, arrive(), "late")
    run(world, 2.0)
    assert versions(world) == [{b"a": 1}] * 3


def test_what_is_for_one_term_is_refused_and_not_unknown(world: World) -> None:
    leader, follower = roles(world)
    keep_forwards(leader)
    outcomes = put(follower, b"a", only_in_term=core_of(leader).sync.term())
    run(world, 1.0)
    reset(world, leader, follower)
    run(world, 2.0)
    assert "is over" in str(outcomes[b"a"])
    assert versions(world) == [{}] * 3


def test_a_leader_of_an_earlier_version_is_not_asked(world: World) -> None:
    leader, follower = roles(world)
    hello = core_of(leader).hello
    core_of(leader).hello = lambda: {k: v for k, v in hello().items() if k != "answers"}
    keep_forwards(leader)
    outcomes = put(follower, b"a")
    run(world, 1.0)
    reset(world, leader, follower)
    run(world, 2.0)
    assert outcomes == {}
    run(world, LONG_SECONDS)
    assert "OutcomeUnknown" in repr(outcomes[b"a"])
