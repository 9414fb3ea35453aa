"""Scenes about promises that outlive their time: acknowledgements, answers and half a flush that come too late.

Each puts one message or one write on its way, changes who leads meanwhile, and lets it arrive. With all guards in
place nothing comes of it.
"""

from collections.abc import Callable
from functools import partial

from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.scene import Scene, Undo, leads
from kvstore.testing.sim.schedule import Fault
from kvstore.testing.sim.stage import Stage


class Promises(Scene):
    """The plays by the names of their faults (`kinds`); each returns what undoes it."""

    def __init__(self, world: Stage) -> None:
        super().__init__(world)
        self.kinds: dict[str, Callable[[Fault, SimMember], Undo]] = {
            "unheard-leader": self._unheard_leader,
            "late-answers": self._late_answers,
            "two-reigns": self._two_reigns,
            "lease-keepers": self._lease_keepers,
            "half-flush": self._half_flush,
            "straggler": self._straggler,
            "relapse": self._relapse,
            "voted-twice": self._voted_twice,
        }

    def _visit(
        self, member: SimMember, after: float, visitors: list[Undo], *, count: int, traffic: str
    ) -> None:
        """Some clients come to `member` after a while."""

        def come() -> None:
            for one in self._world.visit(member, count, (traffic,)):
                visitors.append(partial(setattr, one, "is_over", True))

        self.later(after, come)

    def _unheard_leader(self, fault: Fault, member: SimMember) -> Undo:
        """A leader learns nothing of what the others have taken from it, is then cut off, takes more, and is deposed.

        When it comes back its log agrees with the new leader's for a while, and then does not.
        """
        others = self.others(member)
        both = self.pairs([member], others)
        self.cut([pair for pair in both if pair[1] == member.name])
        visitors: list[Undo] = []
        self._visit(member, 0.0, visitors, count=2, traffic="put")
        self.later(0.35, self.sever, both)
        self._visit(member, 0.4, visitors, count=2, traffic="put")

        def undo() -> None:
            for leave in visitors:
                leave()
            self.mend(both)

        return undo

    def _late_answers(self, fault: Fault, member: SimMember) -> Undo:
        """Answers to a leader are long under way; nobody hears it any more and another leads when they arrive."""
        others = self.others(member)
        inbound = [(one.name, member.name) for one in others]
        outbound = [(member.name, one.name) for one in others]
        self.slow(inbound, 2.4)
        self.later(0.5, self.cut, outbound)
        visitors: list[Undo] = []
        for after in (1.2, 1.5, 1.8, 2.1, 2.4):
            self._visit(member, after, visitors, count=2, traffic="get")

        def undo() -> None:
            for leave in visitors:
                leave()
            self.slow(inbound, 0.0)
            self.mend(outbound)

        return undo

    def _two_reigns(self, fault: Fault, member: SimMember) -> Undo:
        """What a member acknowledged to a leader arrives when that one leads again, and others led in between.

        The leader and that member are a minority: what they shared is gone from the leader's log by then.
        """
        others = self.others(member)
        friend, rest = others[0], others[1:]
        self.slow([(friend.name, member.name)], 3.4)
        split, apart = self.pairs([member], rest), self.pairs([friend], rest)
        if len(rest) > 1:
            self.sever(split + apart)
        visitors: list[Undo] = []
        self._visit(member, 0.0, visitors, count=2, traffic="put")
        self._visit(friend, 0.0, visitors, count=2, traffic="put")
        deaf = [(member.name, friend.name)]

        def turn() -> None:
            self.cut(deaf)
            self.mend(split)

        def back() -> None:
            for one in rest:
                if leads(one):
                    self.move(one, member)

        self.later(0.8, turn)
        self.later(1.3, back)
        self.later(1.7, back)

        def undo() -> None:
            for leave in visitors:
                leave()
            self.slow([(friend.name, member.name)], 0.0)
            self.mend(split + apart + deaf)

        return undo

    def _lease_keepers(self, fault: Fault, member: SimMember) -> Undo:
        """A leader is cut off and another is chosen; clients that know only the old one keep all leases alive there."""
        pairs = self.pairs([member], self.others(member))
        self.sever(pairs)
        clients = list(self._world.clients)
        visitors = self._world.visit(member, 3, ("keep",))
        for one in visitors:
            one.adopt(clients)

        def undo() -> None:
            for one in visitors:
                one.is_over = True
            self.mend(pairs)

        return undo

    def _straggler(self, fault: Fault, member: SimMember) -> Undo:
        """A member hears of everything late, and those whose member ends come to it, who are further than it is."""
        others = self.others(member)
        late, ending = others[0], others[-1]
        inbound = [(one.name, late.name) for one in self.others(late)]
        self.slow(inbound, 2.0)
        self.later(0.8, lambda: ending.kill(is_power_loss=False, lasts=0.3))
        self.later(1.6, lambda: ending.kill(is_power_loss=False, lasts=0.3))
        return lambda: self.slow(inbound, 0.0)

    def _half_flush(self, fault: Fault, member: SimMember) -> Undo:
        """The power goes within one flush of a member whose disk is slow, so that much waits in it."""
        follower = next((one for one in self.others(member) if not leads(one)), member)
        follower.disk.slow_seconds = 0.4

        def arm() -> None:
            follower.crash_is_power_loss = True
            follower.crash_lasts = 0.3
            follower.disk.crash_after = int(fault.value)

        def undo() -> None:
            follower.disk.slow_seconds = 0.0
            follower.disk.crash_after = None

        self.later(0.8, arm)
        return undo

    def _relapse(self, fault: Fault, member: SimMember) -> Undo:
        """A member that lagged is sent a snapshot, and the same a second time when it has long gone on.

        Like `late-copies` it takes what TCP does not do, and no seed of its own plays it.
        """
        follower = next((one for one in self.others(member) if not leads(one)), member)
        pairs = self.pairs([follower], self.others(follower))
        follower.late_copies, follower.copied = 1.0, "snapshot"
        self.sever(pairs)
        self.later(1.5, self.mend, pairs)

        def undo() -> None:
            follower.late_copies, follower.copied = 0.0, ""
            self.mend(pairs)

        return undo

    def _voted_twice(self, fault: Fault, member: SimMember) -> Undo:
        """One of five votes for a candidate, loses its disk and is filled again by the leader of the term before; then
        another candidate asks for its vote in that same term, while the first still waits for one vote more.
        """
        others = self.others(member)
        if len(others) < 4:
            return lambda: None
        first, voter, undecided, second = others[:4]
        out = [(first.name, one.name) for one in (member, second)]
        late = [(first.name, undecided.name)]
        apart = self.pairs([voter], [first])
        deaf = [(second.name, undecided.name), (second.name, first.name)]
        quiet = [(voter.name, one.name) for one in (member, undecided, second)]
        self.cut(out + quiet)
        self.slow(late, 4.5)
        self.move(member, first)

        def forget() -> None:
            if voter.may_lose_data():
                self.cut(apart)
                voter.kill(is_power_loss=True, lasts=0.05)
                voter.wipe()
                self.mend(quiet)

        def stand_again() -> None:
            self.cut(deaf)
            self.move(member, second)

        self.later(0.1, forget)
        self.later(2.1, stand_again)

        def undo() -> None:
            self.slow(late, 0.0)
            self.mend(out + apart + deaf + quiet)

        return undo
