"""One core of a member without a shell: what it sends is kept, disk work is done at once."""

import gc
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvstore.base.clock import Clock
from kvstore.machine.machine import StateMachine
from kvstore.raft.pysync.core import Core
from kvstore.raft.replicator import MemberId, RaftSettings
from kvstore.testing.sim.loop import SimLoop
from kvstore.testing.sim.member import SimClock


@pytest.fixture(autouse=True, scope="module")
def _no_leftovers() -> Iterator[None]:
    """Simulated members that were killed leave coroutines; they end here and not within somebody else's test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class NoShell:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.dropped: list[int] = []

    def send(self, member: int, message: dict[str, Any]) -> bool:
        self.sent.append((member, message))
        return True

    def push(self) -> None:
        pass

    def drop(self, member: int) -> None:
        self.dropped.append(member)

    def offload(self, lane: str, work: Any, done: Any = None) -> None:
        result = work()
        if done is not None:
            done(result)

    def wake(self) -> None:
        pass

    def members_changed(self, configuration: Any) -> None:
        pass


@pytest.fixture
def core_in() -> Callable[..., tuple[Core, NoShell]]:
    """Member 1 of three with its data in a folder, loaded."""

    def make(
        directory: Path, clock: Clock | None = None, *, is_joined: bool = False
    ) -> tuple[Core, NoShell]:
        shell = NoShell()
        settings = RaftSettings(
            member_id=MemberId(1),
            peers={MemberId(number): ("host", number) for number in (1, 2, 3)},
            data_dir=directory,
            voters=() if is_joined else None,
        )
        chosen = clock or SimClock(SimLoop())
        core = Core(settings, StateMachine(), chosen, random.Random(1), shell)
        core.load()
        return core, shell

    return make
