"""A majority that starts on emptied disks begins another history: who comes back with the first does not mix them."""

from typing import Any

import pytest
from msgspec.structs import replace

from kvstore.machine.commands import Put, Range, decode, encode
from kvstore.raft.proposals import decode_entry
from kvstore.raft.pysync.core import Core
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.schedule import make_plan
from kvstore.testing.sim.world import World


def run(world: World, seconds: float) -> None:
    world.loop.run_until_time(world.loop.now + seconds)
    assert world.loop.errors == []


def core_of(member: SimMember) -> Core:
    assert member.booted is not None
    return member.booted.replicator._core  # type: ignore[attr-defined, no-any-return]


def put(member: SimMember, *keys: bytes) -> None:
    booted, process = member.booted, member.process
    assert booted is not None
    assert process is not None

    async def propose() -> None:
        for key in keys:
            try:
                await booted.replicator.propose(encode(Put(key, b"v")), 5.0)
            except Exception:
                return

    member.world.loop.spawn(process, propose(), "put")


def keys_of(member: SimMember) -> set[bytes]:
    machine = member.machine()
    assert machine is not None
    reply: Any = machine.range(Range(b"\0", b"\0"))
    return {kv.key for kv in reply.kvs}


def held_by(member: SimMember) -> set[bytes]:
    """Keys in its state and in its log, of which it applies nothing before it hears a leader."""
    commands = [
        decode(data)
        for entry in core_of(member).journal.entries
        for pack in decode_entry(entry[0])
        for data in pack[3]
    ]
    return keys_of(member) | {one.key for one in commands if isinstance(one, Put)}


@pytest.fixture
def world() -> Any:
    plan = replace(make_plan(3, members=3), faults=(), watchers=0, clients=0, traffic=())
    made = World(plan)
    yield made
    made.loop.dispose()


def lose_two_disks(world: World, *, count: int) -> None:
    """All members hold keys of a first history; then all stop, and two lose their disks."""
    for member in world.members:
        member.start()
    run(world, 2.0)
    put(world.members[0], *(b"first%d" % number for number in range(count)))
    run(world, 2.0)
    assert len({core_of(member).hello()["origin"] for member in world.members}) == 1
    for member in world.members:
        assert len(keys_of(member)) == count
        member.kill(is_power_loss=False, lasts=1000.0)
    for member in world.members[1:]:
        member.disk.wipe()


# In the first tenths of a second the two elect a leader and begin: whoever comes in then meets them half-way.
@pytest.mark.parametrize("late", [0.0, 0.01, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("count", [1, 30])
def test_who_holds_the_first_history_does_not_take_the_second(
    world: World, late: float, count: int
) -> None:
    lose_two_disks(world, count=count)
    keeper, *others = world.members
    for member in others:
        member.start()
    run(world, late)
    keeper.start()
    for _ in range(10):
        for member in others:
            put(member, b"second%d" % member.number)
        run(world, 0.5)
    run(world, 4.0)
    first = {b"first%d" % number for number in range(count)}
    assert held_by(keeper) == first, "what was acknowledged is where it was, and nothing else"
    for member in others:
        kinds = {key[:5] for key in held_by(member)}
        assert len(kinds) < 2, f"{member.name} holds a mixture"


def test_the_new_history_goes_on_and_the_other_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_two_disks(world, count=2)
    keeper, *others = world.members
    for member in others:
        member.start()
    run(world, 3.0)
    put(others[0], b"second")
    run(world, 1.0)
    assert {b"second"} == keys_of(others[0]) == keys_of(others[1])
    keeper.start()
    run(world, 5.0)
    put(others[1], b"third")
    run(world, 1.0)
    assert {b"second", b"third"} == keys_of(others[0]) == keys_of(others[1])
    said = [line for line in capsys.readouterr().out.splitlines() if "has another history" in line]
    # Both sides say so, and neither with each connection.
    assert {("member=1" in line) for line in said} == {True, False}
    assert len(said) <= 4
    # Emptied as well, it is a member like any other.
    keeper.kill(is_power_loss=False, lasts=1000.0)
    keeper.disk.wipe()
    keeper.start()
    run(world, 5.0)
    assert keys_of(keeper) == {b"second", b"third"}
    assert core_of(keeper).journal.facts["caught_up"] == "yes"
    assert len({core_of(member).hello()["origin"] for member in world.members}) == 1


def test_the_origin_comes_with_a_snapshot_and_outlives_restarts(world: World) -> None:
    for member in world.members:
        member.start()
    run(world, 2.0)
    origin = core_of(world.members[0]).hello()["origin"]
    assert len(origin) == 16
    *rest, emptied = world.members
    emptied.kill(is_power_loss=False, lasts=1000.0)
    emptied.disk.wipe()
    settings = world.plan.settings()
    for start in range(0, 2 * settings.snapshot_count + 50, 50):
        put(rest[0], *(b"k%d" % number for number in range(start, start + 50)))
        run(world, 0.5)
    assert core_of(rest[0]).journal.base_index > 10, "the log no longer holds the first entry"
    emptied.start()
    run(world, 5.0)
    assert core_of(emptied).hello()["origin"] == origin
    for member in world.members:
        member.kill(is_power_loss=True, lasts=1000.0)
    for member in world.members:
        member.start()
    run(world, 5.0)
    assert {core_of(member).hello()["origin"] for member in world.members} == {origin}
