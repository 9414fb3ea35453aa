"""Which member has which fault: the supervisor's side of `kvstore.faults.control`.

What is asked for is kept here, written to the file that the member starts with, and sent to its socket. So a fault
stays on across kill and restart; a member that is paused gets it when it goes on; and `heal` knows all there is to
undo. A partition is set at both ends of every link it cuts, so it holds although one end restarts.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from kvstore.base.clock import Clock
from kvstore.faults.control import FaultControlError, ask, initial_file, set_request
from kvstore.faults.kinds import ClockFault, DiskFault, Faults, LinkFault
from kvstore.local.process import Process

_ANSWER_SECONDS = 5.0
_F = TypeVar("_F", DiskFault, ClockFault)


class FaultError(Exception):
    """A fault that cannot be set, in words for the operator."""


class FaultDesk:
    """The faults of all members of one cluster.

    Args:
        sockets: each member's control socket.
        processes: each member's process.
    """

    def __init__(
        self, sockets: Mapping[str, Path], processes: Mapping[str, Process], clock: Clock
    ) -> None:
        self._sockets, self._processes, self._clock = dict(sockets), dict(processes), clock
        self._wanted = {name: Faults() for name in self._sockets}
        self._late: set[str] = set()
        for name in self._sockets:
            initial_file(self._sockets[name]).unlink(missing_ok=True)

    @property
    def members(self) -> list[str]:
        """All members' names."""
        return list(self._sockets)

    def faults_of(self, member: str) -> Faults:
        """What is on at a member. Raises FaultError for an unknown one."""
        return self._wanted[self._known(member)]

    def describe(self) -> dict[str, list[str]]:
        """One line a fault, for each member that has any."""
        return {
            name: faults.describe() for name, faults in self._wanted.items() if faults.is_active
        }

    async def partition(self, groups: Sequence[Sequence[str]], *, is_one_way: bool = False) -> None:
        """Let nothing pass between members of different groups; one way: from the first to the second only.

        One group alone is cut off from all the others. Raises FaultError.
        """
        sides = [[self._known(name) for name in group] for group in groups]
        if len(sides) == 1:
            sides.append([name for name in self._sockets if name not in sides[0]])
        named = [name for side in sides for name in side]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise FaultError(f"{', '.join(twice)} cannot be on two sides of a partition")
        if len(sides) < 2 or not all(sides):
            raise FaultError("a partition has two sides: nobody is left for the other one")
        if is_one_way and len(sides) != 2:
            raise FaultError("a one-way partition has exactly two groups: from and to")
        wanted = dict(self._wanted)
        for at, side in enumerate(sides):
            for other in sides[at + 1 :]:
                for source in side:
                    for target in other:
                        way = "out" if is_one_way else "both"
                        back = "in" if is_one_way else "both"
                        there = LinkFault(target, way, drop=1.0)  # type: ignore[arg-type]
                        here = LinkFault(source, back, drop=1.0)  # type: ignore[arg-type]
                        wanted[source] = _with_link(wanted[source], there)
                        wanted[target] = _with_link(wanted[target], here)
        await self._set(wanted)

    async def network(self, member: str, link: LinkFault) -> None:
        """Make links of `member` slow, lossy or cut; replaces what was set for the same peer and direction."""
        name = self._known(member)
        if link.peer and self._known(link.peer) == name:
            raise FaultError(f"{name} has no link to itself")
        await self._set({**self._wanted, name: _with_link(self._wanted[name], link)})

    async def disk(self, member: str, fault: DiskFault) -> None:
        """Give a member's disk one more fault; what `fault` leaves at its default stays as it was."""
        name = self._known(member)
        disk = _merged(self._wanted[name].disk, fault)
        await self._set(
            {**self._wanted, name: msgspec.structs.replace(self._wanted[name], disk=disk)}
        )

    async def clock(self, member: str, fault: ClockFault) -> None:
        """Give a member's clock one more fault; what `fault` leaves at its default stays. Leaps add up."""
        name = self._known(member)
        before = self._wanted[name].clock
        clock = _merged(before, fault)
        if fault.jump_seconds:
            leapt = before.jump_seconds + fault.jump_seconds
            clock = msgspec.structs.replace(clock, jump_seconds=leapt)
        await self._set(
            {**self._wanted, name: msgspec.structs.replace(self._wanted[name], clock=clock)}
        )

    async def clear(self, members: Iterable[str] | None = None, *, part: str = "") -> list[str]:
        """Undo the faults of `members` (None: all), or only a part: network, disk, clock. Who had any."""
        names = list(self._sockets) if members is None else [self._known(one) for one in members]
        had, wanted = [], dict(self._wanted)
        for name in names:
            cleared = (
                msgspec.structs.replace(wanted[name], **{part: getattr(Faults(), part)})
                if part
                else Faults()
            )
            if cleared != wanted[name]:
                had.append(name)
                wanted[name] = cleared
        await self._set(wanted)
        return had

    async def drop_partition(self, sources: Sequence[str], sinks: Sequence[str]) -> None:
        """Undo the partition between two groups; other faults of those links stay."""
        wanted = dict(self._wanted)
        for side, other in ((sources, sinks), (sinks, sources)):
            for name in side:
                kept = tuple(
                    link
                    for link in wanted[self._known(name)].network
                    if link.drop < 1 or link.peer not in other
                )
                wanted[name] = msgspec.structs.replace(wanted[name], network=kept)
        await self._set(wanted)

    async def went_on(self, members: Iterable[str]) -> None:
        """To be called after members were resumed or started: what was set meanwhile reaches them now."""
        for name in members:
            if name in self._late:
                await self._push(name)

    def _known(self, member: str) -> str:
        name = member.removesuffix("/store")
        if name not in self._sockets:
            raise FaultError(
                f"{member!r} is no store member; there are {', '.join(self._sockets)}"
                if self._sockets
                else "members take no faults: fault_injection = false in [store]"
            )
        return name

    async def _set(self, wanted: Mapping[str, Faults]) -> None:
        changed = [name for name in wanted if wanted[name] != self._wanted[name]]
        self._wanted = dict(wanted)
        for name in changed:
            await self._push(name)

    async def _push(self, name: str) -> None:
        """To the file, and to the member if it runs; while it starts its socket may take a moment."""
        socket, faults = self._sockets[name], self._wanted[name]
        _write(initial_file(socket), faults)
        self._late.discard(name)
        process = self._processes[name]
        deadline = self._clock.monotonic() + _ANSWER_SECONDS
        while process.is_running and process.state not in ("killed", "stopped"):
            if process.state == "paused":
                self._late.add(name)
                return
            try:
                await ask(socket, 1.0, **set_request(faults))
                return
            except FaultControlError as error:
                if self._clock.monotonic() > deadline:
                    raise FaultError(f"{name} does not take faults: {error}") from error
            await self._clock.sleep(0.05)


def _merged(before: _F, fault: _F) -> _F:
    given = {
        field.name: getattr(fault, field.name)
        for field in msgspec.structs.fields(fault)
        if getattr(fault, field.name) != field.default
    }
    return msgspec.structs.replace(before, **given)


def _with_link(faults: Faults, link: LinkFault) -> Faults:
    """Partitions and other faults of one link stand side by side; a new one replaces its own kind."""
    is_partition = link.drop == 1
    kept = tuple(
        one
        for one in faults.network
        if (one.peer, one.direction, one.drop == 1) != (link.peer, link.direction, is_partition)
    )
    return msgspec.structs.replace(faults, network=(*kept, link) if link.is_active else kept)


def _write(path: Path, faults: Faults) -> None:
    if not faults.is_active:
        path.unlink(missing_ok=True)
        return
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(faults))
    aside.replace(path)
