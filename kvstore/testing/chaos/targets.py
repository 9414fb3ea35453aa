"""Faults of `nemesis` done to real processes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kvstore.client.types import ClientTls
from kvstore.local.faults import FaultError as FaultError
from kvstore.local.store import StoreCluster
from kvstore.testing.chaos.nemesis import (
    LEADER,
    Clock,
    Disk,
    Fault,
    Kill,
    Network,
    Partition,
    Pause,
    Restart,
)


class Target(Protocol):
    """A cluster that faults can be done to."""

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Each member's client URL."""
        ...

    @property
    def tls(self) -> ClientTls | None:
        """What clients need."""
        ...

    async def leader(self) -> str:
        """Who leads. Raises FaultError if nobody does."""
        ...

    async def begin(self, fault: Fault) -> None:
        """Do it; targets are members by name. Raises FaultError."""
        ...

    async def end(self, fault: Fault) -> None:
        """Undo it. Raises FaultError."""
        ...

    async def heal(self) -> None:
        """Undo all and have every member up. Raises FaultError."""
        ...


async def resolved(fault: Fault, target: Target) -> Fault:
    """`fault` with names for "leader" and for "the others". Raises FaultError."""
    everybody = list(target.endpoints)

    async def name(one: str) -> str:
        return await target.leader() if one == LEADER else one

    async def names(some: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([await name(one) for one in some]))

    match fault:
        case Kill(targets):
            return Kill(await names(targets))
        case Restart(targets):
            return Restart(await names(targets))
        case Pause(targets):
            return Pause(await names(targets))
        case Partition(sources, sinks, is_one_way):
            one = await names(sources)
            rest = await names(sinks) or tuple(n for n in everybody if n not in one)
            return Partition(one, rest, is_one_way)
        case Network(target_name, link):
            return Network(await name(target_name), link)
        case Disk(target_name, disk):
            return Disk(await name(target_name), disk)
        case Clock(target_name, clock):
            return Clock(await name(target_name), clock)


class StoreTarget:
    """A `StoreCluster` of our own."""

    tls: ClientTls | None = None

    def __init__(self, cluster: StoreCluster) -> None:
        self._cluster = cluster

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Each member's client URL."""
        return self._cluster.endpoints

    async def leader(self) -> str:
        """Who leads. Raises FaultError if nobody does."""
        return await self._cluster.leader()

    async def begin(self, fault: Fault) -> None:
        """Do it. Raises FaultError."""
        cluster = self._cluster
        match fault:
            case Kill(targets):
                await cluster.kill(targets)
            case Restart(targets):
                await cluster.stop(targets)
            case Pause(targets):
                cluster.pause(targets)
            case Partition(sources, sinks, is_one_way):
                await cluster.faults.partition([sources, sinks], is_one_way=is_one_way)
            case Network(target, link):
                await cluster.faults.network(target, link)
            case Disk(target, disk):
                await cluster.faults.disk(target, disk)
            case Clock(target, clock):
                await cluster.faults.clock(target, clock)

    async def end(self, fault: Fault) -> None:
        """Undo it; members that it ended start again. Raises FaultError."""
        cluster = self._cluster
        match fault:
            case Kill(targets) | Restart(targets):
                await cluster.start(targets)
            case Pause(targets):
                await cluster.resume(targets)
            case Partition(sources, sinks):
                await cluster.faults.drop_partition(sources, sinks)
            case Network(target):
                await cluster.faults.clear([target], part="network")
            case Disk(target):
                await cluster.faults.clear([target], part="disk")
                if cluster.process(target).state == "exited":
                    await cluster.start([target])
            case Clock(target):
                await cluster.faults.clear([target], part="clock")

    async def heal(self) -> None:
        """Undo all and have every member up."""
        await self._cluster.heal()
