"""Operations of the control socket that give faults and take them away.

Faults of disks and clocks are those of the store members; a master's name stands for its member. Links may be those
between members, or those between nodes, which carry what their pods say to each other. The other programs can be
killed, paused and stopped, and lose the store when its members are cut off.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from controlplane.local.control import ControlError
from controlplane.local.links.desk import LinkDesk
from controlplane.local.links.plan import LinkError
from kvstore.faults.kinds import ClockFault, DiskFault, LinkFault
from kvstore.local.faults import FaultDesk, FaultError
from kvstore.local.process import Process
from kvstore.local.supervisor import ProcessSupervisor

OPERATIONS = ("partition", "network", "disk", "clock", "clear", "heal", "leader")


class FaultOperations:
    """Carries out `OPERATIONS` on names that are resolved already (no "leader" among them)."""

    def __init__(self, desk: FaultDesk, links: LinkDesk, supervisor: ProcessSupervisor) -> None:
        self.desk, self.links, self._supervisor = desk, links, supervisor

    def describe(self) -> dict[str, list[str]]:
        """One line a fault, for each member and node that has any."""
        return {**self.desk.describe(), **self.links.describe()}

    async def run(
        self, operation: str, groups: Sequence[Sequence[str]], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """One operation; `groups` are lists of names. Raises ControlError."""
        try:
            match operation:
                case "leader":
                    return {"leader": groups[0][0]}
                case "partition" if options.get("end"):
                    await self.desk.drop_partition(*groups)
                case "partition":
                    one_way = bool(options.get("one_way"))
                    desk = self.links if self._are_nodes(groups) else self.desk
                    await desk.partition(groups, is_one_way=one_way)
                case "clear":
                    return await self._clear([n for group in groups for n in group], options)
                case "heal":
                    return await self._heal(with_start=bool(options.get("start")))
                case _:
                    names = [name for group in groups for name in group]
                    for name in names:
                        await self._give(operation, name, options)
        except (FaultError, LinkError, msgspec.ValidationError) as error:
            raise ControlError(str(error)) from error
        return {"faults": self.describe()}

    def _are_nodes(self, groups: Sequence[Sequence[str]]) -> bool:
        """Whether the first name is a node's; the others are then looked for among nodes, too."""
        return any(name in self.links.nodes for group in groups[:1] for name in group[:1])

    async def went_on(self, processes: Sequence[Process]) -> None:
        """Processes were started or resumed: members among them get what was set meanwhile. Raises ControlError."""
        try:
            await self.desk.went_on(p.spec.group for p in processes if p.spec.kind == "store")
        except FaultError as error:
            raise ControlError(str(error)) from error

    async def _give(self, operation: str, name: str, options: Mapping[str, Any]) -> None:
        match operation:
            case "network":
                desk = self.links if name in self.links.nodes else self.desk
                await desk.network(name, msgspec.convert(options, type=LinkFault))
            case "disk":
                await self.desk.disk(name, msgspec.convert(options, type=DiskFault))
            case "clock":
                await self.desk.clock(name, msgspec.convert(options, type=ClockFault))

    async def _clear(self, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
        """Undo one part of the faults of some members; those that a fault ended start again."""
        await self.desk.clear(names, part=str(options.get("part", "")))
        processes = [p for name in names for p in self._supervisor.match(f"{name}/store")]
        ended = [process for process in processes if process.state == "exited"]
        return {"not_ready": await self._supervisor.start(ended)}

    async def _heal(self, *, with_start: bool) -> dict[str, Any]:
        """Undo all: faults off, frozen programs go on, members that a fault ended start. Killed ones: `with_start`."""
        processes = list(self._supervisor.processes.values())
        frozen = [process for process in processes if process.state == "paused"]
        for process in frozen:
            process.resume()
        healed = [*await self.desk.clear(), *await self.links.heal()]
        await self.desk.went_on(self.desk.members)
        down = [process for process in processes if not process.is_running]
        ended = [process for process in down if with_start or process.state == "exited"]
        late = await self._supervisor.start(ended)
        return {
            "healed": healed,
            "resumed": [process.spec.name for process in frozen],
            "started": [process.spec.name for process in ended],
            "not_ready": late,
            "down": [process.spec.name for process in processes if not process.is_running],
        }
