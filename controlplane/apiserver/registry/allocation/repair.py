"""Finds addresses and node ports that nobody has, and services whose addresses are not written down.

Source: pkg/registry/core/service/{ipallocator,portallocator}/controller, in the form of one pass that any server may
run at any time. What was taken a moment ago belongs to a write that is under way and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api import meta, times
from controlplane.api.resource import Resource
from controlplane.apiserver.registry.allocation.services import (
    ADDRESSES,
    PORTS,
    Ledger,
    keys_of,
    owner_of,
)
from controlplane.storage.errors import StorageError
from controlplane.storage.interface import Preconditions
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

log = get_logger(__name__)

INTERVAL_SECONDS = 180.0
# No write takes as long as this.
LEAK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Repaired:
    """What one pass has done, by keys."""

    written: tuple[str, ...]
    freed: tuple[str, ...]


async def repair(services: Resource, ledger: Ledger, clock: Clock) -> Repaired:
    """One pass; StorageError when the store cannot be read."""
    storage = ledger.storage
    entries = {}
    for prefix in (ADDRESSES, PORTS):
        page = await storage.list(prefix)
        entries.update({prefix + meta.name(entry): entry for entry in page.items})
    # Read after the entries: a service that is stored by now has written its entries before.
    live = (await storage.list(services.key_prefix + "/")).items
    wanted = {key: service for service in live for key in keys_of(meta.spec(service))}
    written = [
        key
        for key, service in wanted.items()
        if key not in entries and await ledger.take(key, service)
    ]
    freed = []
    for key, entry in entries.items():
        service = wanted.get(key)
        if service is not None and owner_of(entry) == meta.key_of(service):
            continue
        created = times.parse_or_none(meta.creation_timestamp(entry))
        if service is not None or clock.time() - (created or 0.0) < LEAK_SECONDS:
            continue
        version = meta.resource_version(entry)
        await storage.delete(key, preconditions=Preconditions(resource_version=version))
        freed.append(key)
    return Repaired(tuple(written), tuple(freed))


async def repair_for_ever(services: Resource, ledger: Ledger, clock: Clock) -> None:
    """A pass now and then, for as long as the server runs."""
    while True:
        try:
            done = await repair(services, ledger, clock)
        except StorageError as error:
            log.debug("ranges not checked", error=str(error))
        else:
            if done.written or done.freed:
                log.info("ranges repaired", written=done.written, freed=done.freed)
        await clock.sleep(INTERVAL_SECONDS)
