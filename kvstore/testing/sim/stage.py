"""What faults and scenes may do with the world they are played in."""

from collections.abc import Sequence
from typing import Protocol

from kvstore.testing.sim.host import SimMember, Surroundings
from kvstore.testing.sim.schedule import Fault
from kvstore.testing.sim.traffic import TrafficClient
from kvstore.testing.sim.watch import SimWatcher


class Stage(Surroundings, Protocol):
    """The world as the nemesis sees it."""

    @property
    def clients(self) -> Sequence[TrafficClient]:
        """All clients, visitors included."""
        ...

    @property
    def watchers(self) -> Sequence[SimWatcher]:
        """All watchers."""
        ...

    def fault(self, fault: Fault, *, is_on: bool, targets: tuple[str, ...]) -> None:
        """A fault begins or ends."""
        ...

    def visit(
        self, member: SimMember, count: int, traffic: tuple[str, ...] = ()
    ) -> list[TrafficClient]:
        """More clients, which ask `member` first; all do what the others do, or `traffic`."""
        ...
