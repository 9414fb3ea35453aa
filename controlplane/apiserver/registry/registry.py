"""One served kind: what its verbs need, and the verbs.

How each write goes is told in create.py, update.py and delete.py.
"""

import random
from collections.abc import Callable, Sequence

from controlplane.api import errors, times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.admission.interface import Admission, Attributes
from controlplane.apiserver.registry import create, delete, update
from controlplane.apiserver.registry.allocation.interface import Allocator
from controlplane.apiserver.requests.context import Transform, WriteContext
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.interface import NO_PRECONDITIONS, Preconditions, Storage
from kvstore.base.clock import Clock


def _nothing(key: str) -> Obj | None:
    return None


class Registry:
    """The verbs of one resource."""

    def __init__(
        self,
        kind: Kind,
        row: Resource,
        storage: Storage,
        allocator: Allocator,
        admission: Admission,
        clock: Clock,
        rng: random.Random,
        peek: Callable[[str], Obj | None] = _nothing,
    ) -> None:
        self.kind = kind
        self.resource = kind.resource
        # The row under which the objects are stored; another one for second spellings of a kind.
        self.row = row
        self.strategy = kind.strategy(kind.resource)
        self.storage = storage
        self.allocator = allocator
        self.admission = admission
        self.clock = clock
        self.rng = rng
        # What a cache has under a key of the store: a first guess at the state, not to be changed.
        self.peek = peek
        # Whether `served` changes nothing of a list's items.
        self.serves_as_stored = (
            kind.from_storage is None
            and kind.conversion is None
            and row.group_version == kind.resource.group_version
        )

    def now(self) -> str:
        """The time as objects carry it."""
        return times.to_rfc3339(self.clock.time())

    async def served(self, obj: Obj) -> Obj:
        """A stored object as this resource's URL shows it. APIError when it cannot be converted."""
        if self.kind.converter is not None:
            [obj] = await self.kind.converter.stored([obj], self.resource.group_version)
        return self._shown(obj)

    async def all_served(self, objects: Sequence[Obj]) -> list[Obj]:
        """Same, for many objects at once."""
        if self.kind.converter is not None:
            objects = await self.kind.converter.stored(objects, self.resource.group_version)
        return [self._shown(obj) for obj in objects]

    async def those(self, objects: Sequence[Obj], matches: Callable[[Obj], bool]) -> list[Obj]:
        """The stored objects that `matches` takes as they are served: fields are those of the version asked for."""
        if self.kind.converter is None:
            return [obj for obj in objects if matches(obj)]
        served = await self.all_served(objects)
        return [obj for obj, seen in zip(objects, served, strict=True) if matches(seen)]

    def _shown(self, obj: Obj) -> Obj:
        version, conversion = self.resource.group_version, self.kind.conversion
        if self.kind.from_storage is not None:
            obj = self.kind.from_storage(obj)
        if conversion is not None:
            obj = conversion.from_stored(obj)
        elif obj.get("apiVersion") == version and obj.get("kind") == self.resource.kind:
            return obj
        return {**obj, "apiVersion": version, "kind": self.resource.kind}

    async def as_stored(self, obj: Obj) -> Obj:
        """`obj` as the store keeps it. APIError when it cannot be converted."""
        if self.kind.converter is not None:
            [obj] = await self.kind.converter.convert([obj], self.row.group_version)
        if self.kind.conversion is None:
            return obj
        obj = self.kind.conversion.to_stored(obj)
        return {**obj, "apiVersion": self.row.group_version, "kind": self.row.kind}

    def store_key(self, namespace: str, name: str) -> str:
        """The key as errors show it: without the prefix of all keys."""
        return self.row.key(namespace, name).removeprefix("/registry")

    def refuse(self, name: str, causes: list[Cause]) -> None:
        """Raise Invalid when there are causes."""
        if causes:
            # Compat: under the group in which the object is stored.
            raise errors.Invalid.for_resource(self.row, name, causes)

    def attributes(
        self,
        operation: str,
        context: WriteContext,
        obj: Obj | None,
        old: Obj | None = None,
        *,
        namespace: str = "",
        name: str = "",
    ) -> Attributes:
        """What admission is told of a write."""
        return Attributes(
            operation=operation,
            resource=self.resource,
            kind=self.kind,
            user=context.user,
            obj=obj,
            old=old,
            subresource=context.subresource,
            namespace=namespace,
            name=name,
            options=context.options,
            is_dry_run=context.is_dry_run,
            warnings=context.warnings,
            annotations=context.annotations,
        )

    async def get(self, namespace: str, name: str) -> Obj:
        """The object, by a linearizable read."""
        with translating(self.resource, name):
            return await self.served(await self.storage.get(self.row.key(namespace, name)))

    async def create(self, namespace: str, obj: Obj, context: WriteContext) -> Obj:
        """See `create.create`."""
        return await create.create(self, namespace, obj, context)

    async def update(
        self,
        namespace: str,
        name: str,
        transform: Transform,
        context: WriteContext,
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
    ) -> Obj:
        """See `update.update`."""
        return await update.update(self, namespace, name, transform, context, preconditions)

    async def delete(
        self, namespace: str, name: str, options: DeleteOptions, context: WriteContext
    ) -> tuple[Obj, bool]:
        """See `delete.delete`."""
        return await delete.delete(self, namespace, name, options, context)
