"""Services: each gets a cluster IP of its own, and node ports where its type asks for them.

Uniqueness comes from the store: an address is taken by creating the key `/registry/ranges/serviceips/<address>`, which
only one server can do. The first address tried comes from a hash of the namespace and name, so that the same Service
mostly gets the same address again. The first 16 addresses of the range are left for fixed use (`kubernetes` is .1).
"""

import ipaddress
import zlib

from controlplane.api import meta
from controlplane.api.errors import Cause, Internal, Invalid
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.storage.errors import KeyExistsError, KeyNotFoundError
from controlplane.storage.interface import Storage

_FIXED = 16
_NODE_PORTS = range(30000, 32768)
_MAX_TRIES = 4096


class ServiceAllocator:
    """Cluster IPs and node ports, as `Allocator` asks."""

    def __init__(self, resource: Resource, storage: Storage, ip_range: str) -> None:
        self._resource = resource
        self._storage = storage
        self._network = ipaddress.ip_network(ip_range)

    async def allocate(self, obj: Obj) -> None:
        """Take a cluster IP and the node ports."""
        spec = obj.setdefault("spec", {})
        if spec.get("type") == "ExternalName":
            return
        address = spec.get("clusterIP")
        if address != "None":
            if address:
                await self._take_given(obj, "clusterIPs", "serviceips", address)
            else:
                address = await self._take_any(obj)
            spec.setdefault("ipFamilies", ["IPv4"])
        spec["clusterIP"] = address
        spec["clusterIPs"] = [address]
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if address == "None":
            spec.setdefault("ipFamilies", ["IPv4"])
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            await self._take_node_ports(obj)

    async def _take_given(self, obj: Obj, field: str, kind: str, value: str) -> None:
        if not await self._take(kind, value, obj):
            text = f'Invalid value: "{value}": provided {"IP" if "ip" in kind else "port"} is already allocated'
            raise Invalid.for_resource(
                self._resource, meta.name(obj), [Cause(f"spec.{field}", text)]
            )

    async def _take_any(self, obj: Obj) -> str:
        usable = self._network.num_addresses - 2 - _FIXED
        start = zlib.crc32(f"{meta.namespace(obj)}/{meta.name(obj)}".encode())
        for step in range(min(usable, _MAX_TRIES)):
            address = str(self._network[1 + _FIXED + (start + step) % usable])
            if await self._take("serviceips", address, obj):
                return address
        raise Internal("failed to allocate a serviceIP: range is full")

    async def _take_node_ports(self, obj: Obj) -> None:
        for port in meta.spec(obj).get("ports") or ():
            if port.get("nodePort"):
                await self._take_given(
                    obj, "ports.nodePort", "servicenodeports", str(port["nodePort"])
                )
                continue
            start = zlib.crc32(f"{meta.key_of(obj)}/{port.get('port')}".encode())
            for step in range(len(_NODE_PORTS)):
                number = _NODE_PORTS[(start + step) % len(_NODE_PORTS)]
                if await self._take("servicenodeports", str(number), obj):
                    port["nodePort"] = number
                    break

    async def _take(self, kind: str, value: str, obj: Obj) -> bool:
        key = f"/registry/ranges/{kind}/{value}"
        owner = {"namespace": meta.namespace(obj), "name": meta.name(obj), "uid": meta.uid(obj)}
        try:
            await self._storage.create(key, {"metadata": {}, "owner": owner})
        except KeyExistsError:
            return await self._take_over(key, owner)
        return True

    async def _take_over(self, key: str, owner: Obj) -> bool:
        """Take what a service that no longer exists has left behind."""
        try:
            held = await self._storage.get(key)
        except KeyNotFoundError:
            return False
        holder = held.get("owner") or {}
        if holder.get("uid") == owner["uid"]:
            return True
        service = self._resource.key(holder.get("namespace", ""), holder.get("name", ""))
        try:
            found = await self._storage.get(service)
        except KeyNotFoundError:
            # Its creator may be between the two writes; only the same name may inherit.
            if (holder.get("namespace"), holder.get("name")) != (owner["namespace"], owner["name"]):
                return False
        else:
            if meta.uid(found) == holder.get("uid"):
                return False

        async def owned(live: Obj) -> Obj:
            return {**live, "owner": owner}

        await self._storage.guaranteed_update(key, owned)
        return True

    async def release(self, obj: Obj) -> None:
        """Give the addresses and ports back."""
        spec = meta.spec(obj)
        taken = [("serviceips", one) for one in spec.get("clusterIPs") or () if one != "None"]
        taken += [
            ("servicenodeports", str(port["nodePort"]))
            for port in spec.get("ports") or ()
            if port.get("nodePort")
        ]
        for kind, value in taken:
            key = f"/registry/ranges/{kind}/{value}"
            try:
                held = await self._storage.get(key)
                if (held.get("owner") or {}).get("uid") == meta.uid(obj):
                    await self._storage.delete(key)
            except KeyNotFoundError:
                continue
