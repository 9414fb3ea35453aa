"""Faults that meet in the one order in which they hurt: short plays around the leader of the moment.

Faults that come by chance seldom make a leader that is deposed and does not know it, busy clients at it, and a follower
that lags, all within two seconds. Each scene arranges one such meeting; what becomes of it is left to the seed.
"""

from collections.abc import Callable

from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.scene import Scene, Undo, leads
from kvstore.testing.sim.schedule import Fault
from kvstore.testing.sim.stage import Stage

VISITORS = 3
"""Clients that come to a leader of which the others know that it leads no more."""


class Scenes(Scene):
    """The plays by the names of their faults; each returns what undoes it."""

    def __init__(self, world: Stage) -> None:
        super().__init__(world)
        self.kinds: dict[str, Callable[[Fault, SimMember], Undo]] = {
            "island": self._island,
            "frozen-leader": self._frozen_leader,
            "seesaw": self._seesaw,
            "old-leader-fills": self._old_leader_fills,
            "relay": self._relay,
            "late-copies": self._late_copies,
        }

    def _island(self, fault: Fault, member: SimMember) -> Undo:
        """A leader that only clients reach, while the others, who know, choose another; then it comes back, slowly."""
        pairs = self.pairs([member], self.others(member))
        if fault.where == "silent":
            self.cut(pairs)
        else:
            self.sever(pairs)
        visitors = self._world.visit(member, VISITORS)

        def undo() -> None:
            for one in visitors:
                one.is_over = True
            self.slow(pairs, fault.value)
            self.mend(pairs)
            self._world.later(1.0, self.slow, pairs, 0.0)

        return undo

    def _frozen_leader(self, fault: Fault, member: SimMember) -> Undo:
        """Answers to a leader are on their way when it stops; it goes on when others have gone on without it."""
        pairs = self.pairs([member], self.others(member))
        self.slow(pairs, 0.6)
        stopped: list[Undo] = []

        def stop() -> None:
            process = member.pause()
            stopped.append(lambda: member.resume(process))

        def undo() -> None:
            self.slow(pairs, 0.0)
            for one in stopped:
                one()

        self.later(0.5, stop)
        return undo

    def _seesaw(self, fault: Fault, member: SimMember) -> Undo:
        """First a minority lags; then whoever acknowledged meanwhile is away, or lost its power, and the others go on.

        `where` names who loses what: the leader or the one that kept up, its process or its power, if anything. "leader
        slow" is a leader whose disk is slow before it loses its power, "rest slow" the same of those that kept up.
        """
        others = self.others(member)
        half = max(1, len(others) // 2)
        lagging, current = others[:half], others[half:]
        if fault.value:
            lagging, current = others[-half:], others[:-half]
        who, _, what = fault.where.partition(" ")
        first = self.pairs(lagging, [*self._world.members])
        slowed = [member] if who == "leader" else current
        if what == "slow":
            for one in slowed:
                one.disk.slow_seconds = 1.5
        self.cut(first)
        away = current if who == "leader" else [member]
        second = self.pairs(away, [*self._world.members])

        def turn() -> None:
            struck = [member] if who == "leader" else current if what != "stay" else []
            self.cut(second)
            for one in struck:
                one.kill(is_power_loss=what != "kill", lasts=0.05)
                one.disk.slow_seconds = 0.0
            self.mend([pair for pair in first if pair not in second])

        def undo() -> None:
            for one in slowed:
                one.disk.slow_seconds = 0.0
            self.mend(first)
            self.mend(second)

        self.later(0.9, turn)
        return undo

    def _old_leader_fills(self, fault: Fault, member: SimMember) -> Undo:
        """A member that helped a new leader loses its disk, and finds the deposed leader first."""
        others = self.others(member)
        undo_island = self._island(Fault(fault.at, "island"), member)
        cuts: list[tuple[str, str]] = []

        def mislead() -> None:
            leading = [one for one in others if leads(one)]
            lost = [one for one in others if one not in leading and one.may_lose_data()]
            if not leading or not lost:
                return
            lost[0].kill(is_power_loss=False, lasts=0.05)
            lost[0].wipe()
            cuts.extend(self.pairs(leading, [*self._world.members]))
            self.cut(cuts)
            self.mend([pair for pair in self.pairs([member], others) if pair not in cuts])

        def undo() -> None:
            undo_island()
            self.mend(cuts)

        self.later(0.5 + fault.value, mislead)
        return undo

    def _relay(self, fault: Fault, member: SimMember) -> Undo:
        """What was handed to a leader is long under way, while another leads and hands the lead back."""
        others = self.others(member)
        slow = [(one.name, member.name) for one in others[1:]]
        self.slow(slow, 3.0)
        self.later(0.3, self.move, member, others[0])
        self.later(1.0, self.move, others[0], member)
        return lambda: self.slow(slow, 0.0)

    def _late_copies(self, fault: Fault, _: SimMember) -> Undo:
        """Some messages arrive a second time, late and out of order.

        TCP does not do that, so no seed of its own does either; the guards must not need to know. `where` names their
        type, if not all are meant.
        """
        for member in self._world.members:
            member.late_copies = 0.8 if fault.where else fault.value
            member.copied = fault.where

        def undo() -> None:
            for member in self._world.members:
                member.late_copies = 0.0

        return undo
