"""The flow of each verb, once for all kinds: what happens to an object between admission and storage.

Updates are functions of the live object, run inside the storage's compare-and-write loop, so that a PATCH needs no
retry of its own. A result equal to the live object is not written. Deleting is an update too: it either marks the
object (finalizers, grace) or removes it, in one transaction.
"""

import random
import uuid
from typing import Any

from controlplane.api import errors, meta, names, times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.admission.chain import Admission
from controlplane.apiserver.registry import managed
from controlplane.apiserver.registry.allocation.interface import Allocator
from controlplane.apiserver.requests.context import Transform, WriteContext
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.errors import KeyExistsError
from controlplane.storage.interface import Preconditions, Removal, Storage
from kvstore.base.clock import Clock

# Upstream tries a generated name this often before it answers AlreadyExists.
_NAME_TRIES = 8
_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
# What a client cannot change after creation.
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


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
    ) -> None:
        self.kind = kind
        self.resource = kind.resource
        # The row under which the objects are stored; another one for second spellings of a kind.
        self.row = row
        self.strategy = kind.strategy(kind.resource)
        self._storage = storage
        self._allocator = allocator
        self._admission = admission
        self._clock = clock
        self._rng = rng

    def _now(self) -> str:
        return times.to_rfc3339(self._clock.time())

    def served(self, obj: Obj) -> Obj:
        """`obj` with the apiVersion of this resource's URL."""
        version, conversion = self.resource.group_version, self.kind.conversion
        if conversion is not None:
            obj = conversion.from_stored(obj)
        elif obj.get("apiVersion") == version and obj.get("kind") == self.resource.kind:
            return obj
        return {**obj, "apiVersion": version, "kind": self.resource.kind}

    async def get(self, namespace: str, name: str) -> Obj:
        """The object, by a linearizable read."""
        with translating(self.resource, name):
            return self.served(await self._storage.get(self.row.key(namespace, name)))

    async def create(self, namespace: str, obj: Obj, context: WriteContext) -> Obj:
        """Admit, complete and store a new object, which becomes the registry's."""
        fields = meta.ensure_metadata(obj)
        base = fields.get("generateName") if not fields.get("name") else None
        for attempt in range(_NAME_TRIES):
            if base:
                fields["name"] = names.generate_name(base, self._rng)
            try:
                return await self._create(namespace, meta.copy_of(obj) if base else obj, context)
            except errors.AlreadyExists:
                if not base or attempt == _NAME_TRIES - 1:
                    raise
        raise errors.Internal("no name could be generated")

    async def _create(self, namespace: str, obj: Obj, context: WriteContext) -> Obj:
        fields, resource = meta.ensure_metadata(obj), self.resource
        self._fill_identity(obj, namespace, context)
        if fields.get("resourceVersion"):
            raise errors.BadRequest("resourceVersion should not be set on objects to be created")
        for field in ("resourceVersion", "selfLink", *_SERVER_FIELDS):
            fields.pop(field, None)
        fields["uid"] = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        fields["creationTimestamp"] = self._now()
        self.strategy.prepare_for_create(obj)
        self._admission.mutate(self.kind, obj, is_create=True)
        name = meta.name(obj)
        if not name:
            text = "Required value: name or generateName is required"
            raise errors.Invalid.for_resource(
                resource, "", [Cause("metadata.name", text, "FieldValueRequired")]
            )
        await self._admission.admit_create(resource, obj)
        self._refuse(name, self._admission.validate(self.kind, obj))
        obj = self.kind.kept(obj)
        managed.track(self.kind, None, obj, context, self._now())
        key = self.row.key(namespace, name)
        with translating(resource, name):
            if context.is_dry_run:
                return await self._pretend_create(key, obj)
            await self._allocator.allocate(obj)
            try:
                stored = await self._storage.create(
                    key, self._as_stored(obj), ttl_seconds=self.strategy.ttl_seconds
                )
            except KeyExistsError:
                await self._allocator.release(obj)
                raise
        return self.served(stored)

    async def _pretend_create(self, key: str, obj: Obj) -> Obj:
        page = await self._storage.list(key, limit=1)
        found = page.items and self.row.key(meta.namespace(obj), meta.name(page.items[0])) == key
        if found:
            raise KeyExistsError(key)
        return self.served(obj)

    def _fill_identity(self, obj: Obj, namespace: str, context: WriteContext) -> None:
        resource, fields = self.resource, meta.ensure_metadata(obj)
        obj.setdefault("apiVersion", context.api_version)
        obj.setdefault("kind", resource.kind)
        if resource.namespaced:
            given = fields.setdefault("namespace", namespace) or namespace
            fields["namespace"] = given
            if given != namespace:
                raise errors.BadRequest(
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
        else:
            fields.pop("namespace", None)

    def _as_stored(self, obj: Obj) -> Obj:
        if self.kind.conversion is None:
            return obj
        obj = self.kind.conversion.to_stored(obj)
        return {**obj, "apiVersion": self.row.group_version, "kind": self.row.kind}

    async def update(
        self,
        namespace: str,
        name: str,
        transform: Transform,
        context: WriteContext,
        *,
        preconditions: Preconditions | None = None,
    ) -> Obj:
        """Replace the object by what `transform` makes of it."""
        key = self.row.key(namespace, name)

        def change(live: Obj) -> Obj | Removal:
            served = self.served(live)
            return self._changed(transform(meta.copy_of(served)), served, name, context)

        with translating(self.resource, name):
            if context.is_dry_run:
                live = await self._storage.get(key)
                result = change(live)
                return self.served(result.obj if isinstance(result, Removal) else result)
            removed: list[Obj] = []

            def remember(live: Obj) -> Obj | Removal:
                result = change(live)
                removed[:] = [live] if isinstance(result, Removal) else []
                if isinstance(result, Removal) or result == live:
                    return result
                return self._as_stored(result)

            stored = await self._storage.guaranteed_update(
                key,
                remember,
                preconditions=preconditions or Preconditions(),
                ttl_seconds=self.strategy.ttl_seconds,
            )
            if removed:
                await self._allocator.release(removed[0])
        return self.served(stored)

    def _changed(self, obj: Obj, live: Obj, name: str, context: WriteContext) -> Obj | Removal:
        """The object to store when a client wants `obj` in place of `live`."""
        self._check_identity(obj, live, name)
        fields, old = meta.ensure_metadata(obj), meta.metadata(live)
        for field in _SERVER_FIELDS:
            if field in old:
                fields[field] = old[field]
            else:
                fields.pop(field, None)
        fields.pop("selfLink", None)
        if context.subresource == "status":
            self.strategy.prepare_for_status_update(obj, live)
        elif not context.subresource:
            self.strategy.prepare_for_update(obj, live)
        self._admission.mutate(self.kind, obj, is_create=False)
        self.strategy.bump_generation(obj, live)
        causes = self._admission.validate_update(self.kind, obj, live, context.subresource)
        self._refuse(name, [*causes, *_new_finalizers(obj, live)])
        obj = self.kind.kept(obj)
        fields = meta.metadata(obj)
        managed.track(self.kind, live, obj, context, self._now())
        if self._is_finished(obj):
            return Removal(obj)
        fields["resourceVersion"] = old.get("resourceVersion", "")
        return live if managed.only_time_differs(obj, live) else obj

    def _check_identity(self, obj: Obj, live: Obj, name: str) -> None:
        """Refuse an object that is not the one the URL and the store mean."""
        fields, old = meta.ensure_metadata(obj), meta.metadata(live)
        if fields.setdefault("name", name) != name:
            raise errors.BadRequest(
                f"the name of the object ({fields['name']}) does not match the name on the URL "
                f"({name})"
            )
        if self.resource.namespaced:
            namespace = old.get("namespace", "")
            if (fields.get("namespace") or namespace) != namespace:
                raise errors.BadRequest(
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
            fields["namespace"] = namespace
        uid = fields.get("uid")
        if uid and uid != old.get("uid"):
            raise errors.Conflict.of(
                self.resource,
                name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                f"{old.get('uid', '')}",
            )
        version = fields.get("resourceVersion")
        if version and version != old.get("resourceVersion"):
            raise errors.Conflict.of(self.resource, name)
        if not version and not self.strategy.allows_unconditional_update:
            text = "Invalid value: 0x0: must be specified for an update"
            self._refuse(name, [Cause("metadata.resourceVersion", text)])

    def _refuse(self, name: str, causes: list[Cause]) -> None:
        if causes:
            raise errors.Invalid.for_resource(self.resource, name, causes)

    def _is_finished(self, obj: Obj) -> bool:
        """Whether nothing holds an ending object any more."""
        fields = meta.metadata(obj)
        return (
            "deletionTimestamp" in fields
            and not fields.get("finalizers")
            and not fields.get("deletionGracePeriodSeconds")
            and not self.strategy.holds_deletion(obj)
        )

    async def delete(self, namespace: str, name: str, options: DeleteOptions) -> tuple[Obj, bool]:
        """(the object, whether it is gone now): mark it as ending, or remove it when nothing holds it."""
        key = self.row.key(namespace, name)
        preconditions = Preconditions(options.uid, options.resource_version)
        removed: list[Obj] = []

        def mark(live: Obj) -> Obj | Removal:
            preconditions.check(key, live)
            result = self._marked(live, name, options)
            removed[:] = [live] if isinstance(result, Removal) else []
            return result

        with translating(self.resource, name):
            if options.is_dry_run:
                result = mark(await self._storage.get(key))
                obj = result.obj if isinstance(result, Removal) else result
                return self.served(obj), isinstance(result, Removal)
            obj = await self._storage.guaranteed_update(key, mark)
            if removed:
                await self._allocator.release(removed[0])
        return self.served(obj), bool(removed)

    def _marked(self, live: Obj, name: str, options: DeleteOptions) -> Obj | Removal:
        refusal = self.strategy.check_delete(live)
        if refusal:
            raise errors.Forbidden.of(self.resource, name, refusal)
        obj: dict[str, Any] = {**live, "metadata": dict(meta.metadata(live))}
        fields = obj["metadata"]
        grace = self.strategy.grace_seconds(live, options)
        finalizers = _propagated(meta.finalizers(live), options.propagation)
        if finalizers:
            fields["finalizers"] = finalizers
        else:
            fields.pop("finalizers", None)
        if "deletionTimestamp" in fields:
            # A second DELETE may only shorten what the first one has granted.
            granted = int(fields.get("deletionGracePeriodSeconds") or 0)
            if options.grace_seconds is None or grace >= granted:
                grace = granted
            else:
                self._set_deadline(fields, grace)
        elif grace or finalizers or self.strategy.holds_deletion(obj):
            self._set_deadline(fields, grace)
            self.strategy.mark_deleting(obj)
            if fields.get("generation"):
                fields["generation"] += 1
        else:
            return Removal(live)
        return Removal(obj) if self._is_finished(obj) else obj

    def _set_deadline(self, fields: Obj, grace_seconds: int) -> None:
        fields["deletionTimestamp"] = times.to_rfc3339(self._clock.time() + grace_seconds)
        fields["deletionGracePeriodSeconds"] = grace_seconds


def _propagated(finalizers: list[str], propagation: str) -> list[str]:
    """Finalizers with the garbage collector's ones set as the policy asks."""
    if not propagation:
        return finalizers
    kept = [one for one in finalizers if one not in (_FOREGROUND, _ORPHAN)]
    if propagation == "Foreground":
        kept.append(_FOREGROUND)
    elif propagation == "Orphan":
        kept.append(_ORPHAN)
    return kept


def _new_finalizers(obj: Obj, live: Obj) -> list[Cause]:
    if not meta.is_deleting(live):
        return []
    added = sorted(set(meta.finalizers(obj)) - set(meta.finalizers(live)))
    if not added:
        return []
    text = (
        "Forbidden: no new finalizers can be added if the object is being deleted, found new "
        f"finalizers {added}"
    )
    return [Cause("metadata.finalizers", text, "FieldValueForbidden")]
