"""NamespaceLifecycle: nothing is created in a namespace that is missing or ending.

The answer comes from the watch cache when it says the namespace is there; only a miss costs a read of the store.
"""

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.errors import StorageError
from controlplane.storage.interface import Storage
from controlplane.storage.watch_cache import WatchCache


class NamespaceLifecycle:
    """The rule."""

    def __init__(self, namespaces: Resource, storage: Storage, caches: WatchCache) -> None:
        self._row = namespaces
        self._storage = storage
        self._caches = caches

    async def admit(self, resource: Resource, obj: Obj) -> None:
        """Refuse `obj` when its namespace cannot take it."""
        name = meta.namespace(obj)
        if not resource.namespaced:
            return
        with translating(self._row, name):
            namespace = await self._find(name)
        if meta.is_deleting(namespace) or meta.status(namespace).get("phase") == "Terminating":
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise errors.Forbidden.of(
                resource,
                meta.name(obj),
                why,
                causes=[
                    Cause(
                        "metadata.namespace",
                        f"namespace {name} is being terminated",
                        "NamespaceTerminating",
                    )
                ],
            )

    async def _find(self, name: str) -> Obj:
        key = self._row.key("", name)
        try:
            cache = await self._caches.cache(self._row.key_prefix + "/")
            cached: Obj | None = cache.objects.get(key)
        except StorageError:
            cached = None
        return cached if cached is not None else await self._storage.get(key)
