"""A kind's watch cache, read as changes since the last look: so authorizers keep indexes without tasks of their own."""

from dataclasses import dataclass

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.errors import TooOldError
from controlplane.storage.watch_cache import Cursor, ResourceCache, WatchCache


@dataclass(frozen=True, slots=True)
class Changed:
    """One object's change; None where it was not, or is no more."""

    key: str
    before: Obj | None
    after: Obj | None


class Followed:
    """The cache of one kind."""

    def __init__(self, resource: Resource, caches: WatchCache) -> None:
        self.resource = resource
        self._prefix = resource.key_prefix + "/"
        self._caches = caches
        self._cache: ResourceCache | None = None
        self._cursor: Cursor | None = None

    async def changes(self) -> list[Changed] | None:
        """What has changed since the last call; None when all must be read anew. APIError when the store is away."""
        if self._cursor is not None and self._cursor.is_at_end():
            return []
        with translating(self.resource):
            cache = await self._caches.cache(self._prefix)
        if cache is self._cache and self._cursor is not None:
            try:
                events = self._cursor.poll()
            except TooOldError:
                pass
            else:
                return [Changed(event.key, event.previous, event.obj) for event in events]
        self._cache, self._cursor = cache, cache.cursor_at_end()
        return None

    def poll(self) -> list[Changed]:
        """What has changed since the last look, without waiting; nothing where all must be read anew first."""
        if self._cursor is None:
            return []
        try:
            events = self._cursor.poll()
        except TooOldError:
            return []
        return [Changed(event.key, event.previous, event.obj) for event in events]

    def find(self, namespace: str, name: str) -> Obj | None:
        """The object as of the last look or later."""
        if self._cache is None:
            return None
        found: Obj | None = self._cache.objects.get(self.resource.key(namespace, name))
        return found

    def items(self) -> list[tuple[str, Obj]]:
        """All objects by key."""
        return [] if self._cache is None else list(self._cache.objects.items())
