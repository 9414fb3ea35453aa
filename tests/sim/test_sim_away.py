"""A member that was held up gives nobody up in its first turn: what they said waits in its sockets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvstore.base.clock import ManualClock
from kvstore.raft.pysync.core import AWAY_SECONDS, Core
from kvstore.raft.pysync.messages import PreVote, RequestVote
from kvstore.raft.replicator import MemberId, NoLeader

Make = Callable[..., tuple[Core, Any]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def go_on(core: Core, clock: ManualClock, until: Callable[[], bool]) -> None:
    """Turn after turn, each when it is due."""
    deadline = core.turn()
    for _ in range(50):
        if until():
            return
        await clock.advance(max(0.001, deadline - clock.monotonic()))
        deadline = core.turn()
    raise AssertionError("it never comes")


def asked_for_votes(shell: Any) -> bool:
    return any(isinstance(one, PreVote | RequestVote) for _, one in shell.sent)


def met(core_in: Make, directory: Path, clock: ManualClock) -> tuple[Core, Any]:
    """A follower that has met another member."""
    core, shell = core_in(directory, clock)
    core.connected(MemberId(2), core.hello())
    # It is the best placed of those it met, and stands at once; that is over.
    core.turn()
    shell.sent.clear()
    return core, shell


async def test_a_follower_stands_when_its_time_has_come(
    tmp_path: Path, clock: ManualClock, core_in: Make
) -> None:
    core, shell = met(core_in, tmp_path, clock)
    await go_on(core, clock, lambda: asked_for_votes(shell))
    core.close()


async def test_a_follower_that_was_held_up_hears_the_leader_first(
    tmp_path: Path, clock: ManualClock, core_in: Make
) -> None:
    core, shell = met(core_in, tmp_path, clock)
    await clock.advance(60.0)
    core.turn()
    assert not asked_for_votes(shell)
    # And stands after all if there is nothing to hear.
    await go_on(core, clock, lambda: asked_for_votes(shell))
    core.close()


async def test_callers_of_a_member_that_was_held_up_get_the_answer_that_waits(
    tmp_path: Path, clock: ManualClock, core_in: Make
) -> None:
    core, _ = core_in(tmp_path, clock)
    core.turn()
    future = core.proposals.submit(b"", clock.monotonic() + 5.0)
    core.expires_at(clock.monotonic() + 5.0)
    core.turn()
    await clock.advance(60.0)
    core.turn()
    assert not future.done()
    held_up_until = clock.monotonic()
    await go_on(core, clock, future.done)
    assert clock.monotonic() - held_up_until >= AWAY_SECONDS
    assert isinstance(future.exception(), NoLeader)
    core.close()
