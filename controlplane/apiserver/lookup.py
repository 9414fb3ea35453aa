"""Objects that a decision needs beside its own: from the watch cache where it has them, else from the store.

Authenticators, authorizers and admission plugins read the cluster through this and nothing else. What is in the cache
may be some milliseconds old; what is not in it is asked of the store, so that "there is none" is the truth.
"""

from typing import Protocol

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.errors import KeyNotFoundError, StorageError
from controlplane.storage.interface import Storage
from controlplane.storage.watch_cache import WatchCache


class Lookup(Protocol):
    """Reads other objects. They are shared: not to be changed."""

    async def find(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object, or None; APIError when the store cannot tell."""
        ...

    async def all(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """All objects of a kind, or those of a namespace, in key order."""
        ...


class CachedLookup:
    """A `Lookup` over a server's caches."""

    def __init__(self, storage: Storage, caches: WatchCache) -> None:
        self._storage = storage
        self._caches = caches

    async def find(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """See `Lookup.find`."""
        key = resource.key(namespace, name)
        try:
            cache = await self._caches.cache(resource.key_prefix + "/")
            cached: Obj | None = cache.objects.get(key)
        except StorageError:
            cached = None
        if cached is not None:
            return cached
        with translating(resource, name):
            try:
                return await self._storage.get(key)
            except KeyNotFoundError:
                return None

    async def all(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """See `Lookup.all`."""
        prefix = resource.key_prefix + "/"
        with translating(resource):
            cache = await self._caches.cache(prefix)
        return cache.select(f"{prefix}{namespace}/" if namespace else prefix)
