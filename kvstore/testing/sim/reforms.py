"""Scenes about changes of the members, in each of which one rule alone keeps two majorities from missing each other.

They need machines that are no members yet (`Plan.spares`).
"""

from collections.abc import Callable

from kvstore.raft.configuration import Change, Kind
from kvstore.raft.replicator import MemberId
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.scene import Pairs, Scene, Undo, leads
from kvstore.testing.sim.schedule import Fault
from kvstore.testing.sim.stage import Stage

_VISITORS = 3
_PATIENCE_SECONDS = 20.0


class Reforms(Scene):
    """The plays by the names of their faults (`kinds`); each returns what undoes it."""

    def __init__(self, world: Stage) -> None:
        super().__init__(world)
        self.kinds: dict[str, Callable[[Fault, SimMember], Undo]] = {
            "two-changes": self._two_changes,
            "early-change": self._early_change,
            "bystander": self._bystander,
        }

    def _change(self, host: SimMember, kind: Kind, member: SimMember) -> None:
        """Ask `host` for a change, without waiting for it."""
        process, booted = host.process, host.booted
        if process is None or booted is None:
            return
        url = f"http://{member.name}:2380"
        change = Change(kind, MemberId(member.number), (url,) if kind.startswith("add") else ())

        async def ask() -> None:
            try:
                await booted.replicator.change_members(change, _PATIENCE_SECONDS)
                said = "done"
            except Exception as error:
                said = type(error).__name__
            self._world.trace(f"change {kind} {member.name} by {host.name}: {said}")

        self._world.loop.spawn(process, ask(), "change-members")

    def _spares(self, count: int) -> list[SimMember]:
        """Machines that are started now, to be added."""
        found = [host for host in self._world.members if host.is_spare][:count]
        for host in found:
            host.join()
        return found

    def _voters(self, *known: SimMember) -> list[SimMember]:
        return [host for host in self.others(*known) if host.is_in and not host.is_joiner]

    def _visit(self, host: SimMember) -> list[Callable[[], None]]:
        def leave(one: object) -> Callable[[], None]:
            def stop() -> None:
                one.is_over = True  # type: ignore[attr-defined]

            return stop

        return [leave(one) for one in self._world.visit(host, _VISITORS)]

    def _two_changes(self, fault: Fault, leader: SimMember) -> Undo:
        """A leader alone with two new machines adds both: with them it would have a majority of all five."""
        new, rest = self._spares(2), self._voters(leader)
        cuts = self.pairs([leader, *new], rest)

        def divide() -> None:
            self.cut(cuts)
            self._visit(leader)

        def add(number: int) -> None:
            if number < len(new):
                self._change(leader, "add", new[number])

        # So soon that the leader does not know yet that it leads no more.
        self.later(0.6, divide)
        self.later(0.65, add, 0)
        self.later(0.7, add, 1)
        return lambda: self.mend(cuts)

    def _early_change(self, fault: Fault, old: SimMember) -> Undo:
        """What the author of Raft mended in 2015.

        A leader promotes a learner, alone with it. The next one, which has committed nothing yet, removes the first and
        commits with a majority of those that are left; and the first comes back with the one member that missed it.
        """
        [learner, *_] = self._spares(1) or [old]
        others = self._voters(old)
        if learner is old or len(others) != 3:
            return lambda: None
        cuts: Pairs = []

        def also_cut(pairs: Pairs) -> None:
            cuts.extend(pairs)
            self.cut(pairs)

        def divide() -> None:
            also_cut(self.pairs([old, learner], others))
            self._change(old, "promote", learner)
            for one in others:
                one.dies_at_message = "response_vote"
                one.on_message_sent = lambda one=one: deaf(one)  # type: ignore[misc]
            self.later(0.05, look)

        deafened: list[SimMember] = []

        def deaf(one: SimMember) -> None:
            """The first that votes hears nothing more; its vote arrives."""
            if not deafened:
                deafened.append(one)
                also_cut([(other.name, one.name) for other in others if other is not one])

        def look() -> None:
            leading = [one for one in others if leads(one)]
            if not leading:
                self.later(0.05, look)
                return
            for one in others:
                one.dies_at_message = ""
            self._change(leading[0], "remove", old)
            self._visit(leading[0])
            self.later(0.8, turn, leading[0])

        def turn(new: SimMember) -> None:
            if not deafened or new in deafened:
                return
            kept = [one for one in others if one not in deafened]
            also_cut(self.pairs(kept, [old, learner, *deafened]))
            self.mend(self.pairs([old, learner], deafened))
            self._visit(old)
            self._visit(learner)

        def undo() -> None:
            for one in others:
                one.dies_at_message = ""
            self.mend(cuts)

        self._change(old, "add-learner", learner)
        self.later(1.2, divide)
        return undo

    def _bystander(self, fault: Fault, leader: SimMember) -> Undo:
        """A leader is left with one that must not count: a member that was removed, or (`where`) a learner."""
        others = self._voters(leader)
        is_learner = fault.where == "learner"
        spares = self._spares(1) if is_learner else []
        if len(others) < 2 or (is_learner and not spares):
            return lambda: None
        bystander = spares[0] if is_learner else others.pop()
        first: Pairs = [] if is_learner else self.pairs([bystander], [leader, *others])
        second = self.pairs([leader, bystander], others)
        self.cut(first)
        self._change(leader, "add-learner" if is_learner else "remove", bystander)

        def turn() -> None:
            self.cut(second)
            self.mend([pair for pair in first if pair not in second])
            self._visit(leader)

        def undo() -> None:
            self.mend(first)
            self.mend(second)

        self.later(1.5, turn)
        return undo
