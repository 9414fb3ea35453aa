"""Who of the API servers lives, and so where the Service `default/kubernetes` leads: its Endpoints and EndpointSlice.

Each server renews a record of its own in the store and reads those of all. A record that has not changed for
`DEAD_SECONDS` of the reader's own time is dead and taken away, so that clocks need not agree. A server that stops in
order takes its own along. Source of the layout: pkg/controlplane/reconcilers (the lease reconciler).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.storage.errors import KeyExistsError, KeyNotFoundError, StorageError
from controlplane.storage.interface import Storage
from kvstore.base.log import get_logger

log = get_logger(__name__)

RENEW_SECONDS = 5.0
DEAD_SECONDS = 15.0
_LEAVE_SECONDS = 1.0
_PREFIX = "/registry/masterleases/"
_NAME, _NAMESPACE = "kubernetes", "default"
_MANAGER = "kube-apiserver"

Place = tuple[str, int]
"""Address and port."""


def advertised(config: ApiServerConfig) -> str:
    """The address that others are told; "" when there is none that may stand in Endpoints."""
    text = config.advertise_address or config.bind_address
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "" if address.is_loopback or address.is_unspecified or address.is_link_local else text


@dataclass(slots=True)
class Observed:
    """Which records changed when, by the observer's own clock."""

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def dead(self, records: Mapping[str, str], now: float) -> list[str]:
        """The keys, of keys with their versions, that have been as they are for too long."""
        self.seen = {
            key: self.seen[key] if self.seen.get(key, ("", 0.0))[0] == version else (version, now)
            for key, version in records.items()
        }
        return [key for key, (_, since) in self.seen.items() if now - since >= DEAD_SECONDS]


def subsets(places: Sequence[Place]) -> list[Obj]:
    """The subsets of the Endpoints: one a port."""
    return [
        {
            "addresses": [{"ip": ip} for ip in _addresses(places, port)],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }
        for port in sorted({port for _, port in places})
    ]


def slices(places: Sequence[Place]) -> dict[str, Obj]:
    """The EndpointSlices by name, without metadata: one a port, the first with the Service's own name."""
    made: dict[str, Obj] = {}
    for port in sorted({port for _, port in places}):
        addresses = _addresses(places, port)
        made[f"{_NAME}-{port}" if made else _NAME] = {
            "addressType": "IPv6" if ":" in addresses[0] else "IPv4",
            "endpoints": [
                {"addresses": [address], "conditions": {"ready": True}} for address in addresses
            ],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }
    return made


def _addresses(places: Sequence[Place], port: int) -> list[str]:
    found = {ip for ip, other in places if other == port}
    return sorted(found, key=ipaddress.ip_address)


class Masters:
    """Keeps this server's record and what follows from all of them."""

    def __init__(self, server: Server, place: Place) -> None:
        self._server = server
        self._place = place
        self._key = f"{_PREFIX}{place[0]}:{place[1]}"
        self._observed = Observed()

    async def run(self) -> None:
        """Renew and publish until cancelled; without a store it is tried on."""
        await self._server.bootstrapped.wait()
        while True:
            try:
                await renew(self._server.storage, self._key, self._place)
                await self._publish(await self._living())
            except (StorageError, errors.APIError) as error:
                log.warning("the API's endpoints could not be published", error=str(error))
            await self._server.clock.sleep(RENEW_SECONDS)

    async def leave(self) -> None:
        """Take this server's own record away, and it out of the endpoints. Never raises."""
        if not self._server.bootstrapped.is_set():
            return
        with contextlib.suppress(StorageError, errors.APIError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await _forget(self._server.storage, self._key)
                await self._publish(await self._living())

    async def _living(self) -> list[Place]:
        storage = self._server.storage
        page = await storage.list(_PREFIX)
        records = {_PREFIX + meta.name(record): record for record in page.items}
        versions = {key: meta.resource_version(record) for key, record in records.items()}
        for key in self._observed.dead(versions, self._server.clock.monotonic()):
            if key != self._key:
                log.info("an API server is gone", record=key)
                await _forget(storage, key)
                del records[key]
        return [(record["address"], int(record["port"])) for record in records.values()]

    async def _publish(self, places: Sequence[Place]) -> None:
        labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        await self._put(ENDPOINTS, _NAME, {"subsets": subsets(places)}, labels)
        wanted = slices(places)
        for name, body in wanted.items():
            await self._put(ENDPOINT_SLICES, name, body, {"kubernetes.io/service-name": _NAME})
        prefix = f"{ENDPOINT_SLICES.key_prefix}/{_NAMESPACE}/"
        for old in (await self._server.storage.list(f"{prefix}{_NAME}-")).items:
            name = meta.name(old)
            if name.removeprefix(f"{_NAME}-").isdigit() and name not in wanted:
                await _forget(self._server.storage, prefix + name)

    async def _put(
        self, resource: Resource, name: str, body: Obj, labels: Mapping[str, str]
    ) -> None:
        registry = self._server.registries[resource]
        context = WriteContext(resource.group_version, LOOPBACK, manager=_MANAGER)

        async def as_wanted(live: Obj) -> Obj:
            if all(live.get(key) == value for key, value in body.items()):
                return live
            metadata = {**meta.metadata(live)}
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
            return {**live, **meta.copy_of(body), "metadata": metadata}

        try:
            await registry.update(_NAMESPACE, name, as_wanted, context)
        except errors.NotFound:
            fresh = {"metadata": {"name": name, "namespace": _NAMESPACE, "labels": dict(labels)}}
            with contextlib.suppress(errors.AlreadyExists):
                await registry.create(_NAMESPACE, {**meta.copy_of(body), **fresh}, context)


async def renew(storage: Storage, key: str, place: Place) -> None:
    """Change the record of `place`, which is made if it is not there."""
    record = {
        "metadata": {"name": key.removeprefix(_PREFIX), "generation": 1},
        "address": place[0],
        "port": place[1],
    }

    async def newer(live: Obj) -> Obj:
        number = int(meta.metadata(live).get("generation") or 0) + 1
        return {**record, "metadata": {**meta.metadata(live), "generation": number}}

    try:
        await storage.guaranteed_update(key, newer)
    except KeyNotFoundError:
        with contextlib.suppress(KeyExistsError):
            await storage.create(key, record)


async def _forget(storage: Storage, key: str) -> None:
    with contextlib.suppress(KeyNotFoundError):
        await storage.delete(key)
