"""What scenes are made of: links that are cut, slowed and mended, and the lead that is handed on."""

from collections.abc import Callable
from typing import Any

from kvstore.raft.replicator import MemberId
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.stage import Stage

Undo = Callable[[], None]
Pairs = list[tuple[str, str]]
"""Directions, each (from, to)."""
_NEWS_SECONDS = 0.003
"""How long the end of a connection is on its way at most; too short to connect again."""


class Scene:
    """Base of the plays: what they do with links, and when they are over."""

    def __init__(self, world: Stage) -> None:
        self._world = world
        self.is_over = False
        """All is healed: what a scene has still in store must not happen any more."""

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Go on with a scene after a while."""

        def go_on() -> None:
            if not self.is_over:
                call(*args)

        self._world.later(seconds, go_on)

    def others(self, *known: SimMember) -> list[SimMember]:
        """All members but those."""
        return [member for member in self._world.members if member not in known]

    def pairs(self, ones: list[SimMember], others: list[SimMember]) -> Pairs:
        """Both directions between two groups."""
        return [
            pair
            for one in ones
            for other in others
            if one is not other
            for pair in ((one.name, other.name), (other.name, one.name))
        ]

    def cut(self, pairs: Pairs) -> None:
        """Nothing arrives any more."""
        for source, target in pairs:
            self._world.network.cut(source, target)

    def sever(self, pairs: Pairs) -> None:
        """End the connections, let both sides learn of it, and let none be made again."""
        for source, target in pairs:
            self._world.network.reset_between(source, target)
        self.later(_NEWS_SECONDS, self.cut, pairs)

    def mend(self, pairs: Pairs) -> None:
        """What waited arrives."""
        for source, target in pairs:
            self._world.network.cut(source, target, is_cut=False)
        self._world.network.links_changed()

    def slow(self, pairs: Pairs, seconds: float) -> None:
        """Packets take up to `seconds` longer."""
        for source, target in pairs:
            self._world.network.link(source, target).slow_seconds = seconds

    def move(self, source: SimMember, target: SimMember) -> None:
        """Hand the lead from `source` to `target`, if it leads."""
        booted, process = source.booted, source.process
        if booted is None or process is None:
            return

        async def move() -> None:
            try:
                await booted.replicator.transfer_leadership(MemberId(target.number), 2.0)
            except Exception as error:
                self._world.trace(f"not moved {type(error).__name__}")

        self._world.loop.spawn(process, move(), "move-leader")


def leads(member: SimMember) -> bool:
    """Whether it says that it leads."""
    status = member.status()
    return status is not None and status.leader_id == status.member_id
