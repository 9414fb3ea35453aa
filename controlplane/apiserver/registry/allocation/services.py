"""Services: each gets cluster IPs of its own, and node ports where its type asks for them.

Uniqueness comes from the store: an address is taken by creating its IPAddress object, a node port by creating the key
`/registry/ranges/servicenodeports/<port>`; only one server can do either. Of two writes of one Service each takes for
itself and gives back what is not stored. What a crash has left taken is found by `repair`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from controlplane.api import meta, names, times
from controlplane.api.errors import Cause, Internal, Invalid
from controlplane.api.meta import Obj, View
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.api.validation.addresses import parse
from controlplane.apiserver.registry.allocation.interface import Allocation
from controlplane.apiserver.registry.allocation.ranges import PortRange, parse_ranges
from controlplane.kinds.core import service_fields
from controlplane.storage.errors import KeyExistsError, KeyNotFoundError
from controlplane.storage.interface import Storage
from kvstore.base.clock import Clock

ADDRESSES = "/registry/ipaddresses/"
PORTS = "/registry/ranges/servicenodeports/"
_FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
_MANAGED_LABEL = "ipaddress.kubernetes.io/managed-by"
_MANAGER = "ipallocator.k8s.io"


@dataclass(slots=True)
class _Taken:
    """The `Allocation` of one write: keys taken for it, keys to give back once it is stored."""

    ledger: Ledger
    is_dry_run: bool
    taken: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    owner: Obj = field(default_factory=dict)

    async def take(self, key: str) -> bool:
        """Take a key; False when somebody has it."""
        if self.is_dry_run:
            return True
        if not await self.ledger.take(key, self.owner):
            return False
        self.taken.append(key)
        return True

    async def commit(self) -> None:
        """See `Allocation.commit`."""
        if not self.is_dry_run:
            await self.ledger.free(self.freed, self.owner)

    async def revert(self) -> None:
        """See `Allocation.revert`."""
        await self.ledger.free(self.taken, self.owner)
        self.taken = []


class Ledger:
    """Who has which address and port, in the store."""

    def __init__(self, storage: Storage, clock: Clock, rng: random.Random) -> None:
        self.storage = storage
        self._clock = clock
        self._rng = rng

    async def take(self, key: str, service: Obj) -> bool:
        """Write that the service has it; False when somebody has it already."""
        try:
            await self.storage.create(key, self._entry(key, service))
        except KeyExistsError:
            return False
        return True

    def _entry(self, key: str, service: Obj) -> Obj:
        name = key.rpartition("/")[2]
        metadata: Obj = {
            "name": name,
            "uid": names.generate_uid(self._rng),
            "creationTimestamp": times.to_rfc3339(self._clock.time()),
        }
        owner = {"namespace": meta.namespace(service), "name": meta.name(service)}
        if not key.startswith(ADDRESSES):
            return {"metadata": metadata, "owner": owner}
        family = service_fields.family_of(name)
        metadata["labels"] = {_FAMILY_LABEL: family, _MANAGED_LABEL: _MANAGER}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": metadata,
            "spec": {"parentRef": {"resource": "services", **owner}},
        }

    async def free(self, keys: list[str], service: Obj) -> None:
        """Give back those that the service has."""
        for key in keys:
            try:
                held = await self.storage.get(key)
                if owner_of(held) == (meta.namespace(service), meta.name(service)):
                    await self.storage.delete(key)
            except KeyNotFoundError:
                continue


def owner_of(entry: View) -> tuple[str, str]:
    """(namespace, name) of the service that has an address or a port."""
    owner = (entry.get("spec") or {}).get("parentRef") or entry.get("owner") or {}
    return str(owner.get("namespace") or ""), str(owner.get("name") or "")


def keys_of(spec: View) -> list[str]:
    """The keys of all that a service has of the ranges."""
    keys = []
    if service_fields.needs_cluster_ip(spec):
        keys = [ADDRESSES + one for one in spec.get("clusterIPs") or () if one and one != "None"]
    ports = service_fields.node_ports(spec)
    if service_fields.needs_health_check(spec) and spec.get("healthCheckNodePort"):
        ports.append(spec["healthCheckNodePort"])
    return keys + [f"{PORTS}{port}" for port in dict.fromkeys(ports)]


class ServiceAllocator:
    """Cluster IPs and node ports, as `Allocator` asks; the first of `ip_ranges` (by commas) is the default family."""

    def __init__(
        self,
        resource: Resource,
        storage: Storage,
        ip_ranges: str,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._resource = resource
        self.ledger = Ledger(storage, clock, rng)
        self._ranges = {one.family: one for one in parse_ranges(ip_ranges)}
        self._ports = PortRange()

    async def for_create(self, obj: Obj, *, is_dry_run: bool) -> Allocation:
        """See `Allocator.for_create`."""
        service_fields.agree_on_addresses(obj.setdefault("spec", {}), None)
        taken = _Taken(self.ledger, is_dry_run, owner=obj)
        return await self._complete(obj, None, taken)

    async def for_update(self, obj: Obj, live: Obj, *, is_dry_run: bool) -> Allocation:
        """See `Allocator.for_update`."""
        spec = obj.setdefault("spec", {})
        service_fields.keep_allocated(spec, meta.spec(live))
        service_fields.agree_on_addresses(spec, meta.spec(live))
        return await self._complete(obj, live, _Taken(self.ledger, is_dry_run, owner=live))

    async def _complete(self, obj: Obj, live: Obj | None, taken: _Taken) -> Allocation:
        had = keys_of(meta.spec(live)) if live is not None else []
        try:
            causes = service_fields.init_families(obj, live, list(self._ranges))
            self._refuse(obj, causes)
            await self._take_addresses(obj, live, taken)
            await self._take_ports(obj, set(had), taken)
        except BaseException:
            await taken.revert()
            raise
        has = _after_drop(obj, live)
        taken.freed = [key for key in had if key not in has]
        return taken

    def _refuse(self, obj: Obj, causes: list[Cause]) -> None:
        if causes:
            raise Invalid.for_resource(self._resource, meta.name(obj), causes)

    async def _take_addresses(self, obj: Obj, live: Obj | None, taken: _Taken) -> None:
        spec = meta.spec(obj)
        old = meta.spec(live) if live is not None else {}
        if not service_fields.needs_cluster_ip(spec) or spec.get("clusterIP") == "None":
            return
        if old.get("clusterIP") == "None" or service_fields.keeps_preferred_families(spec, old):
            return
        known = set(old.get("clusterIPs") or ()) if old.get("type") != "ExternalName" else set()
        addresses = list(spec.get("clusterIPs") or ())
        for index, family in enumerate(spec.get("ipFamilies") or ()):
            if index >= len(addresses):
                addresses.append(await self._any_address(obj, family, taken))
            elif addresses[index] not in known:
                await self._given_address(obj, family, addresses, index, taken)
        spec["clusterIPs"] = addresses
        if addresses:
            spec["clusterIP"] = addresses[0]

    async def _any_address(self, obj: Obj, family: str, taken: _Taken) -> str:
        for address in self._ranges[family].candidates(f"{meta.namespace(obj)}/{meta.name(obj)}"):
            if await taken.take(ADDRESSES + address):
                return address
        raise Internal(
            f'failed to allocate a serviceIP for Service "{meta.name(obj)}": range is full'
        )

    async def _given_address(
        self, obj: Obj, family: str, addresses: list[str], index: int, taken: _Taken
    ) -> None:
        text = addresses[index]
        address = parse(text)
        network = self._ranges[family]
        if address is None or not network.contains(address):
            why = (
                f"the provided IP ({text}) is not in the valid range. The range of valid IPs is "
                f"{network.network}"
            )
        elif await taken.take(ADDRESSES + str(address)):
            return
        else:
            why = "provided IP is already allocated"
        detail = f"failed to allocate IP {text}: {why}"
        self._refuse(obj, [fields.invalid("spec.clusterIPs", addresses, detail)])

    async def _take_ports(self, obj: Obj, had: set[str], taken: _Taken) -> None:
        spec = meta.spec(obj)
        ports = spec.get("ports") or []
        mine: set[int] = set()
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            by_port: dict[object, int] = {}
            for index, row in enumerate(ports):
                if row.get("nodePort"):
                    place = (row["nodePort"], f"spec.ports[{index}].nodePort")
                    # On create the same number twice is only let pass for the two protocols of one port.
                    is_known = bool(had) or by_port.get(row.get("port")) == row["nodePort"]
                    await self._given_port(obj, place, had, mine, taken, is_known=is_known)
                    by_port.setdefault(row.get("port"), row["nodePort"])
            for row in ports:
                if row.get("nodePort") or not service_fields.needs_node_port(spec):
                    continue
                # TCP and UDP of one port share a node port.
                number = by_port.get(row.get("port"))
                if number is None or _has(ports, number, row.get("protocol")):
                    number = await self._any_port(obj, f"/{row.get('port')}", taken)
                    mine.add(number)
                row["nodePort"] = by_port[row.get("port")] = number
        if service_fields.needs_health_check(spec):
            number = spec.get("healthCheckNodePort")
            if not number:
                spec["healthCheckNodePort"] = await self._any_port(obj, "/health", taken)
            elif f"{PORTS}{number}" not in had and number not in mine:
                await self._health_port(number, taken)

    async def _given_port(
        self,
        obj: Obj,
        place: tuple[int, str],
        had: set[str],
        mine: set[int],
        taken: _Taken,
        *,
        is_known: bool,
    ) -> None:
        number, where = place
        key = f"{PORTS}{number}"
        if key in had or (number in mine and is_known):
            return
        # Compat: upstream's dry run does not look at the range.
        why = "" if taken.is_dry_run else self._bad_port(number)
        if not why and number not in mine and await taken.take(key):
            mine.add(number)
            return
        why = why or "provided port is already allocated"
        self._refuse(obj, [fields.invalid(where, number, why)])

    def _bad_port(self, number: int) -> str:
        if number in self._ports:
            return ""
        return f"provided port is not in the valid range. The range of valid ports is {self._ports}"

    async def _health_port(self, number: int, taken: _Taken) -> None:
        why = self._bad_port(number)
        if not why and await taken.take(f"{PORTS}{number}"):
            return
        why = why or "provided port is already allocated"
        raise Internal(f"failed to allocate requested HealthCheck NodePort {number}: {why}")

    async def _any_port(self, obj: Obj, what: str, taken: _Taken) -> int:
        used = set(service_fields.node_ports(meta.spec(obj)))
        seed = f"{meta.namespace(obj)}/{meta.name(obj)}{what}"
        for number in self._ports.candidates(seed):
            if number not in used and await taken.take(f"{PORTS}{number}"):
                return number
        raise Internal("failed to allocate a nodePort: range is full")

    async def release(self, obj: Obj) -> None:
        """See `Allocator.release`."""
        await self.ledger.free(keys_of(meta.spec(obj)), obj)


def _after_drop(obj: Obj, live: Obj | None) -> set[str]:
    """The keys that the object will have once the strategy has cleared what does not go with its type."""
    if live is None:
        return set(keys_of(meta.spec(obj)))
    spec = meta.copy_of(meta.spec(obj))
    service_fields.drop_type_dependent(spec, meta.spec(live))
    return set(keys_of(spec))


def _has(ports: list[Obj], number: int, protocol: object) -> bool:
    return any(row.get("nodePort") == number and row.get("protocol") == protocol for row in ports)
