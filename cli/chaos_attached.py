"""A running cluster as the target of chaos: every fault goes through its supervisor's control socket."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from controlplane.local.control import ControlError, NotRunning, ask
from controlplane.local.topology import Layout
from kvstore.client.types import ClientTls
from kvstore.testing.chaos.nemesis import (
    Clock,
    Disk,
    Fault,
    Kill,
    Network,
    Partition,
    Pause,
    Restart,
)
from kvstore.testing.chaos.targets import FaultError


class AttachedTarget:
    """The store members of the cluster in a state folder."""

    def __init__(self, layout: Layout, cluster: dict[str, Any]) -> None:
        self._layout = layout
        self.endpoints: Mapping[str, str] = {
            process["group"]: process["addresses"]["client"]
            for process in cluster["processes"]
            if process["kind"] == "store"
        }
        files = cluster["store_tls"]
        self.tls = None if files is None else ClientTls(**files)

    @classmethod
    async def connect(cls, layout: Layout) -> "AttachedTarget":
        """Raises NotRunning."""
        try:
            return cls(layout, json.loads(layout.cluster_file.read_text()))
        except (OSError, ValueError):
            raise NotRunning(layout.state_dir) from None

    async def leader(self) -> str:
        """Who leads. Raises FaultError if nobody does."""
        answer = await self._ask("leader", ["leader"])
        return str(answer["leader"])

    async def begin(self, fault: Fault) -> None:
        """Do it. Raises FaultError."""
        match fault:
            case Kill(targets):
                await self._ask("kill", _stores(targets))
            case Restart(targets):
                await self._ask("stop", _stores(targets))
            case Pause(targets):
                await self._ask("pause", _stores(targets))
            case Partition(sources, sinks, is_one_way):
                groups = [",".join(sources), ",".join(sinks)]
                await self._ask("partition", groups, {"one_way": is_one_way})
            case Network(target, link):
                await self._ask("network", [target], msgspec.to_builtins(link))
            case Disk(target, disk):
                await self._ask("disk", [target], msgspec.to_builtins(disk))
            case Clock(target, clock):
                await self._ask("clock", [target], msgspec.to_builtins(clock))

    async def end(self, fault: Fault) -> None:
        """Undo it. Raises FaultError."""
        match fault:
            case Kill(targets) | Restart(targets):
                await self._ask("start", _stores(targets))
            case Pause(targets):
                await self._ask("resume", _stores(targets))
            case Partition(sources, sinks):
                await self._ask("partition", [",".join(sources), ",".join(sinks)], {"end": True})
            case Network(target):
                await self._ask("clear", [target], {"part": "network"})
            case Disk(target):
                await self._ask("clear", [target], {"part": "disk"})
            case Clock(target):
                await self._ask("clear", [target], {"part": "clock"})

    async def heal(self) -> None:
        """Undo all and have every member up. Raises FaultError."""
        await self._ask("heal", (), {"start": True})

    async def _ask(
        self, operation: str, names: Sequence[str] = (), options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            return await ask(self._layout, operation, names, options=options)
        except ControlError as error:
            raise FaultError(str(error)) from error


def _stores(names: Sequence[str]) -> list[str]:
    return [f"{name}/store" for name in names]
