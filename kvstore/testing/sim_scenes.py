"""Faults that meet in the one order in which they hurt: short plays around the leader of the moment.

Faults that come by chance seldom make a leader that is deposed and does not know it, busy clients at it, and a follower
that lags, all within two seconds. Each scene arranges one such meeting; what becomes of it is left to the seed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvstore.raft.replicator import MemberId
from kvstore.testing.schedule import Fault

if TYPE_CHECKING:
    from kvstore.testing.sim_host import SimMember
    from kvstore.testing.world import World

Undo = Callable[[], None]
VISITORS = 3
"""Clients that come to a leader of which the others know that it leads no more."""


class Scenes:
    """See the module; `play` is what the nemesis calls."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.kinds: dict[str, Callable[[Fault, SimMember], Undo]] = {
            "island": self._island,
            "frozen-leader": self._frozen_leader,
            "seesaw": self._seesaw,
            "old-leader-fills": self._old_leader_fills,
            "relay": self._relay,
            "late-copies": self._late_copies,
        }

    def _others(self, *known: "SimMember") -> list["SimMember"]:
        return [member for member in self._world.members if member not in known]

    def _pairs(self, ones: list["SimMember"], others: list["SimMember"]) -> list[tuple[str, str]]:
        return [
            pair
            for one in ones
            for other in others
            if one is not other
            for pair in ((one.name, other.name), (other.name, one.name))
        ]

    def _cut(self, pairs: list[tuple[str, str]]) -> None:
        for source, target in pairs:
            self._world.network.cut(source, target)

    def _mend(self, pairs: list[tuple[str, str]]) -> None:
        for source, target in pairs:
            self._world.network.cut(source, target, is_cut=False)
        self._world.network.links_changed()

    def _slow(self, pairs: list[tuple[str, str]], seconds: float) -> None:
        for source, target in pairs:
            self._world.network.link(source, target).slow_seconds = seconds

    def _island(self, fault: Fault, member: "SimMember") -> Undo:
        """A leader that only clients reach, while the others, who know, choose another; then it comes back, slowly."""
        pairs = self._pairs([member], self._others(member))
        if fault.where != "silent":
            for other in self._others(member):
                self._world.network.reset_between(member.name, other.name)
        self._cut(pairs)
        visitors = self._world.visit(member, VISITORS)

        def undo() -> None:
            for one in visitors:
                one.is_over = True
            self._slow(pairs, fault.value)
            self._mend(pairs)
            self._world.later(1.0, self._slow, pairs, 0.0)

        return undo

    def _frozen_leader(self, fault: Fault, member: "SimMember") -> Undo:
        """Answers to a leader are on their way when it stops; it goes on when others have gone on without it."""
        pairs = self._pairs([member], self._others(member))
        self._slow(pairs, 0.6)
        stopped: list[Undo] = []

        def stop() -> None:
            process = member.pause()
            stopped.append(lambda: member.resume(process))

        def undo() -> None:
            self._slow(pairs, 0.0)
            for one in stopped:
                one()

        self._world.later(0.5, stop)
        return undo

    def _seesaw(self, fault: Fault, member: "SimMember") -> Undo:
        """First a minority lags; then whoever acknowledged meanwhile is away, or lost its power, and the others go on.

        `where` names who loses what: the leader or the one that kept up, its process or its power, if anything. "leader
        slow" is a leader whose disk is slow before it loses its power.
        """
        others = self._others(member)
        half = max(1, len(others) // 2)
        lagging, current = others[:half], others[half:]
        if fault.value:
            lagging, current = others[-half:], others[:-half]
        who, _, what = fault.where.partition(" ")
        first = self._pairs(lagging, [*self._world.members])
        if what == "slow":
            member.disk.slow_seconds = 1.5
        self._cut(first)
        away = current if who == "leader" else [member]
        second = self._pairs(away, [*self._world.members])

        def turn() -> None:
            struck = [member] if who == "leader" else current if what != "stay" else []
            self._cut(second)
            for one in struck:
                one.kill(is_power_loss=what != "kill", lasts=0.05)
                one.disk.slow_seconds = 0.0
            self._mend([pair for pair in first if pair not in second])

        def undo() -> None:
            member.disk.slow_seconds = 0.0
            self._mend(first)
            self._mend(second)

        self._world.later(0.9, turn)
        return undo

    def _old_leader_fills(self, fault: Fault, member: "SimMember") -> Undo:
        """A member that helped a new leader loses its disk, and finds the deposed leader first."""
        others = self._others(member)
        undo_island = self._island(Fault(fault.at, "island"), member)
        cuts: list[tuple[str, str]] = []

        def mislead() -> None:
            leading = [one for one in others if _leads(one)]
            lost = [one for one in others if one not in leading and one.may_lose_data()]
            if not leading or not lost:
                return
            lost[0].kill(is_power_loss=False, lasts=0.05)
            lost[0].wipe()
            cuts.extend(self._pairs(leading, [*self._world.members]))
            self._cut(cuts)
            self._mend([pair for pair in self._pairs([member], others) if pair not in cuts])

        def undo() -> None:
            undo_island()
            self._mend(cuts)

        self._world.later(0.5 + fault.value, mislead)
        return undo

    def _relay(self, fault: Fault, member: "SimMember") -> Undo:
        """What was handed to a leader is long under way, while another leads and hands the lead back."""
        others = self._others(member)
        slow = [(one.name, member.name) for one in others[1:]]
        self._slow(slow, 3.0)
        self._world.later(0.3, self._move, member, others[0])
        self._world.later(1.0, self._move, others[0], member)
        return lambda: self._slow(slow, 0.0)

    def _move(self, source: "SimMember", target: "SimMember") -> None:
        booted, process = source.booted, source.process
        if booted is None or process is None:
            return

        async def move() -> None:
            try:
                await booted.replicator.transfer_leadership(MemberId(target.number), 2.0)
            except Exception as error:
                self._world.trace(f"not moved {type(error).__name__}")

        self._world.loop.spawn(process, move(), "move-leader")

    def _late_copies(self, fault: Fault, _: "SimMember") -> Undo:
        """Some messages arrive a second time, late and out of order.

        TCP does not do that, so no seed of its own does either; the guards must not need to know.
        """
        for member in self._world.members:
            member.late_copies = fault.value

        def undo() -> None:
            for member in self._world.members:
                member.late_copies = 0.0

        return undo


def _leads(member: "SimMember") -> bool:
    status = member.status()
    return status is not None and status.leader_id == status.member_id
