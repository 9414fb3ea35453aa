"""Who changes the members of a simulated cluster: adds, promotes and removes them, and replaces those that are lost.

The seed decides what is done, faults decide when it goes wrong. Every outcome may be unknown; the admin looks at the
configuration again, as an operator does, and starts every machine that is in it. What is removed goes on running until
it is told, and some are started again after that.
"""

import asyncio
import random
from typing import get_args

from kvstore.raft.configuration import Change, ChangeRefused, Configuration, Kind, Reason
from kvstore.raft.replicator import MemberId, ReplicationError
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.stage import Stage

_TIMEOUT_SECONDS = 5.0
_FORGOTTEN_SECONDS = 10.0
"""So long after nobody knew what became of a change it may be asked for at a leader."""
_MOST_VOTERS = 5


class Admin:
    """`run` until `is_over`."""

    def __init__(self, world: Stage, rng: random.Random, gap_seconds: float) -> None:
        self._world, self._rng, self._gap_seconds = world, rng, gap_seconds
        self.is_over = False
        self.changes = 0
        self._busy_until = 0.0

    async def run(self) -> None:
        """One change after the other."""
        while not self.is_over:
            await asyncio.sleep(self._rng.expovariate(1.0 / self._gap_seconds))
            self.start_members()
            change = None if self.is_over else self._choose()
            if change is not None:
                await self._make(change)
                self.start_members()

    def start_members(self) -> None:
        """Start every machine of which a committed configuration says that it is a member."""
        applied = [
            host.core().membership.applied
            for host in self._world.members
            if host.core() is not None
        ]
        wanted = {seat.id for one in applied for seat in one}
        gone = {member for one in applied for member in one.removed}
        for host in self._world.members:
            if host.is_spare and MemberId(host.number) in wanted - gone:
                host.join()

    def retire_the_forgotten(self) -> None:
        """Stop who was never added after all, and who was removed and cannot be told, for all it knows are gone."""
        newest = self.newest()
        if newest is None or not self._has_leader():
            # After a start nobody knows what was committed.
            return
        members = {seat.id for seat in newest}
        for host in self._world.members:
            core, member_id = host.core(), MemberId(host.number)
            if member_id in members:
                continue
            if core is None:
                # Started without its disk it is told that it is no member, and ends.
                host.is_removed = host.is_removed or (host.must_ask and member_id in newest.removed)
                continue
            if member_id not in newest.removed:
                if host.is_joiner:
                    host.is_spare = True
                    host.kill(is_power_loss=False, lasts=0.0)
            elif not {seat.id for seat in core.membership.latest} & members:
                host.is_removed = True
                host.kill(is_power_loss=False, lasts=0.0)

    def is_changing(self) -> bool:
        """Whether a change that was asked for may still come to be."""
        if self._world.loop.time() < self._busy_until:
            return True
        found = self._configurations()
        return any(one != found[0] for one in found)

    def _has_leader(self) -> bool:
        cores = [host.core() for host in self._world.members]
        return any(
            core is not None
            and core.sync.has_committed_own_term()
            and core.sync.last_applied() == core.sync.commit_index()
            for core in cores
        )

    def _configurations(self) -> list[Configuration]:
        """What each running member has in force, and what it has applied."""
        found: list[Configuration] = []
        for host in self._world.members:
            core = host.core()
            if core is not None:
                found += [core.membership.latest, core.membership.applied]
        return found

    def newest(self) -> Configuration | None:
        """The configuration of the member that has applied most."""
        hosts = [host for host in self._world.members if host.core() is not None]
        if not hosts:
            return None
        best = max(hosts, key=lambda host: (host.core().sync.last_applied(), host.number))
        found: Configuration = best.core().membership.applied
        return found

    def _choose(self) -> Change | None:
        now = self.newest()
        if now is None:
            return None
        hosts = {MemberId(host.number): host for host in self._world.members}
        lost = [seat.id for seat in now if hosts[seat.id].is_lost]
        if lost:
            return Change("remove", lost[0])
        spares = [host for host in self._world.members if host.is_spare]
        kinds: list[Kind | str] = []
        if spares and len(now.voters) < _MOST_VOTERS:
            kinds += ["add", "add", "add-learner"]
        if now.learners:
            kinds += ["promote", "promote"]
        may_go = [seat.id for seat in now if self._can_spare(hosts, now, seat.id)]
        if may_go:
            kinds += ["remove", "remove"]
        if len(now.voters) > 2 and spares:
            kinds += ["lose"]
        if not kinds:
            return None
        kind = self._rng.choice(kinds)
        if kind == "lose":
            self._lose(hosts, now)
            return None
        if kind == "remove":
            return Change("remove", self._rng.choice(may_go))
        if kind == "promote":
            return Change("promote", self._rng.choice(now.learners))
        spare = spares[0]
        url = f"http://{spare.name}:2380"
        return Change("add" if kind == "add" else "add-learner", MemberId(spare.number), (url,))

    def _can_spare(
        self, hosts: dict[MemberId, SimMember], now: Configuration, victim: MemberId
    ) -> bool:
        """Whether a majority without `victim` holds what it promised: what etcd's strict check is for."""
        left = [one for one in now.voters if one != victim]
        whole = [one for one in left if hosts[one].is_whole]
        return len(whole) > len(left) // 2

    def _lose(self, hosts: dict[MemberId, SimMember], now: Configuration) -> None:
        """One machine is gone for good, if the rest can go on, by whatever configuration is in force anywhere."""
        victim = self._rng.choice(now.voters)
        for one in self._configurations():
            left = [voter for voter in one.voters if voter != victim and hosts[voter].is_whole]
            if len(left) <= len(one.voters) // 2:
                return
        hosts[victim].lose()

    async def _make(self, change: Change) -> None:
        running = [host for host in self._world.members if host.core() is not None]
        if not running:
            return
        host = self._rng.choice(running)
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        process, booted = host.process, host.booted
        if process is None or booted is None:
            return

        async def ask() -> None:
            try:
                await booted.replicator.change_members(change, _TIMEOUT_SECONDS)
                said = "done"
            except ChangeRefused as refusal:
                said = refusal.reason
            except ReplicationError as error:
                said = type(error).__name__
            if not outcome.done():
                outcome.set_result(said)

        self._world.loop.spawn(process, ask(), "change-members")
        self._busy_until = float("inf")
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS + 1.0):
                said = await outcome
        except TimeoutError:
            said = "no answer"
        is_known = said in ("done", "NoLeader") or said in get_args(Reason)
        self._busy_until = 0.0 if is_known else self._world.loop.time() + _FORGOTTEN_SECONDS
        self.changes += said == "done"
        self._world.trace(f"change {change.kind} {change.member_id} by {host.name}: {said}")
