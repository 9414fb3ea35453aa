"""Carries out a simulation's faults, and undoes them."""

from collections.abc import Callable, Sequence

from kvstore.raft.replicator import MemberId
from kvstore.testing.sim.host import SimMember
from kvstore.testing.sim.promises import Promises
from kvstore.testing.sim.reforms import Reforms
from kvstore.testing.sim.scenes import Scenes
from kvstore.testing.sim.schedule import Fault
from kvstore.testing.sim.stage import Stage

Undo = Callable[[], None]


class Nemesis:
    """Begins each fault of a schedule at its time and undoes it when it has lasted."""

    def __init__(self, world: Stage) -> None:
        self._world = world
        self._undo: dict[int, tuple[Fault, tuple[str, ...], Undo]] = {}
        self._next = 0
        self._is_over = False
        self._scenes, self._promises = Scenes(world), Promises(world)
        self._reforms = Reforms(world)
        self._kinds: dict[str, Callable[[Fault, SimMember], Undo | None]] = {
            "kill": self._kill,
            "power-loss": self._power_loss,
            "power-loss-all": self._power_loss_all,
            "crash-at-file-operation": self._crash_at_operation,
            "kill-at-await": self._kill_at_await,
            "kill-at-message": self._kill_at_message,
            "pause": self._pause,
            "isolate": self._isolate,
            "cut": self._cut,
            "cut-one-way": self._cut,
            "cut-client": self._cut_client,
            "split": self._split,
            "reset": self._reset,
            "loss": self._loss,
            "slow-network": self._slow_network,
            "slow-disk": self._slow_disk,
            "full-disk": self._full_disk,
            "failing-sync": self._failing_sync,
            "bit-flip": self._bit_flip,
            "wipe": self._wipe,
            "clock-rate": self._clock_rate,
            "clock-jump": self._clock_jump,
            "move-leader": self._move_leader,
            **self._scenes.kinds,
            **self._promises.kinds,
            **self._reforms.kinds,
        }

    def schedule(self, faults: Sequence[Fault]) -> None:
        """Have all of them happen at their time."""
        now = self._world.loop.time()
        for fault in faults:
            self._world.later(max(0.0, fault.at - now), self._begin, fault)

    def heal(self) -> None:
        """Undo everything and let nothing more happen."""
        self._is_over = self._scenes.is_over = self._promises.is_over = True
        self._reforms.is_over = True
        for number in list(self._undo):
            self._end(number)
        self._world.network.heal()
        for member in self._world.members:
            member.disk.crash_after, member.disk.slow_seconds = None, 0.0
            if member.process is not None:
                member.process.steps_left = None
            member.start()

    def _begin(self, fault: Fault) -> None:
        if self._is_over:
            return
        member = self._member(fault.who)
        targets = () if not fault.who else (member.name,)
        self._world.fault(fault, is_on=True, targets=targets)
        undo = self._kinds[fault.kind](fault, member)
        if undo is not None:
            self._next += 1
            self._undo[self._next] = (fault, targets, undo)
            self._world.later(fault.lasts, self._end, self._next)

    def _end(self, number: int) -> None:
        found = self._undo.pop(number, None)
        if found is not None:
            fault, targets, undo = found
            self._world.fault(fault, is_on=False, targets=targets)
            undo()

    def _member(self, who: str) -> SimMember:
        members = [one for one in self._world.members if one.is_in] or self._world.members
        leading = [
            member
            for member in members
            if (status := member.status()) is not None and status.leader_id == status.member_id
        ]
        if who == "leader" and leading:
            return leading[-1]
        if who == "follower":
            rest = [member for member in members if member not in leading]
            return (rest or members)[0]
        for member in members:
            if member.name == who:
                return member
        return members[0]

    # Processes

    def _kill(self, fault: Fault, member: SimMember) -> None:
        member.kill(is_power_loss=False, lasts=fault.lasts)

    def _power_loss(self, fault: Fault, member: SimMember) -> None:
        member.kill(is_power_loss=True, lasts=fault.lasts)

    def _power_loss_all(self, fault: Fault, _: SimMember) -> None:
        for member in self._world.members:
            member.kill(is_power_loss=True, lasts=fault.lasts * member.number / 2)

    def _crash_at_operation(self, fault: Fault, member: SimMember) -> Undo:
        member.crash_is_power_loss = fault.where == "power"
        member.crash_lasts = 0.5
        member.disk.crash_after = int(fault.value)

        def undo() -> None:
            member.disk.crash_after = None

        return undo

    def _kill_at_await(self, fault: Fault, member: SimMember) -> None:
        if member.process is not None:
            member.crash_is_power_loss = fault.lasts > 1.0
            member.crash_lasts = fault.lasts
            member.process.steps_left = int(fault.value)

    def _kill_at_message(self, fault: Fault, member: SimMember) -> Undo:
        """Kill this member, or cut the power of all, just after one has sent such a message."""
        members = self._world.members if fault.value else [member]

        def strike() -> None:
            for one in members:
                one.dies_at_message = ""
                one.kill(is_power_loss=bool(fault.value), lasts=max(0.1, fault.lasts / 2))

        def undo() -> None:
            for one in members:
                one.dies_at_message = ""

        for one in members:
            one.on_message_sent = strike
            one.dies_at_message = fault.where
        if "vote" in fault.where:
            # Elections are rare; bring one about.
            self._kill(fault, self._member("leader"))
        self._world.later(6.0, undo)
        return lambda: None

    def _pause(self, fault: Fault, member: SimMember) -> Undo:
        process = member.pause()
        return lambda: member.resume(process)

    # Network

    def _cuts(self, pairs: list[tuple[str, str]]) -> Undo:
        network = self._world.network
        for source, target in pairs:
            network.cut(source, target)

        def undo() -> None:
            for source, target in pairs:
                network.cut(source, target, is_cut=False)
            network.links_changed()

        return undo

    def _isolate(self, fault: Fault, member: SimMember) -> Undo:
        pairs: list[tuple[str, str]] = []
        for other in self._world.members:
            if other is not member:
                if fault.where != "in":
                    pairs.append((member.name, other.name))
                if fault.where != "out":
                    pairs.append((other.name, member.name))
        return self._cuts(pairs)

    def _cut(self, fault: Fault, member: SimMember) -> Undo:
        other = self._world.members[int(fault.value)]
        pairs = [(member.name, other.name), (other.name, member.name)]
        if fault.where:
            pairs = pairs[:1] if fault.where == "out" else pairs[1:]
        return self._cuts(pairs)

    def _cut_client(self, fault: Fault, member: SimMember) -> Undo:
        names = [client.name for client in self._world.clients]
        names += [watcher.name for watcher in self._world.watchers]
        names = names[member.number % 2 :: 2]
        return self._cuts(
            [pair for name in names for pair in ((name, member.name), (member.name, name))]
        )

    def _split(self, fault: Fault, _: SimMember) -> Undo:
        sides = [(int(fault.value) >> member.number - 1) & 1 for member in self._world.members]
        return self._cuts(
            [
                (one.name, other.name)
                for one, side in zip(self._world.members, sides, strict=True)
                for other, other_side in zip(self._world.members, sides, strict=True)
                if side != other_side
            ]
        )

    def _reset(self, fault: Fault, member: SimMember) -> None:
        for other in self._world.members:
            if other is not member:
                self._world.network.reset_between(member.name, other.name)

    def _loss(self, fault: Fault, _: SimMember) -> Undo:
        links = [
            self._world.network.link(one.name, other.name)
            for one in self._world.members
            for other in self._world.members
            if one is not other
        ]
        for link in links:
            link.loss = fault.value

        def undo() -> None:
            for link in links:
                link.loss = 0.0

        return undo

    def _slow_network(self, fault: Fault, member: SimMember) -> Undo:
        network = self._world.network
        links = [
            network.link(*pair)
            for other in self._world.members
            if other is not member
            for pair in ((member.name, other.name), (other.name, member.name))
        ]
        for link in links:
            link.slow_seconds = fault.value

        def undo() -> None:
            for link in links:
                link.slow_seconds = 0.0

        return undo

    # Disk and clock

    def _slow_disk(self, fault: Fault, member: SimMember) -> Undo:
        member.disk.slow_seconds = fault.value

        def undo() -> None:
            member.disk.slow_seconds = 0.0

        return undo

    def _full_disk(self, fault: Fault, member: SimMember) -> Undo:
        member.disk.is_full = True

        def undo() -> None:
            member.disk.is_full = False

        return undo

    def _failing_sync(self, fault: Fault, member: SimMember) -> Undo:
        member.disk.fails_sync = True

        def undo() -> None:
            member.disk.fails_sync = False

        return undo

    def _bit_flip(self, fault: Fault, member: SimMember) -> None:
        if not member.may_lose_data() or member.is_amnesic:
            return
        where = member.disk.flip_bit(fault.where)
        self._world.trace(f"flipped {member.name} {where}")
        if where:
            member.is_damaged = True
            # Found only by reading, which is what a start does.
            member.kill(is_power_loss=False, lasts=fault.lasts)

    def _wipe(self, fault: Fault, member: SimMember) -> None:
        if member.may_lose_data():
            member.kill(is_power_loss=False, lasts=fault.lasts)
            member.wipe()

    def _clock_rate(self, fault: Fault, member: SimMember) -> Undo:
        member.clock.set_rate(fault.value)
        return lambda: member.clock.set_rate(1.0)

    def _clock_jump(self, fault: Fault, member: SimMember) -> None:
        member.clock.unix_offset += fault.value

    def _move_leader(self, fault: Fault, member: SimMember) -> None:
        booted, process = member.booted, member.process
        if booted is None or process is None:
            return
        target = MemberId(int(fault.value) + 1)

        async def move() -> None:
            try:
                await booted.replicator.transfer_leadership(target, 2.0)
            except Exception as error:
                self._world.trace(f"not moved {type(error).__name__}")

        self._world.loop.spawn(process, move(), "move-leader")
