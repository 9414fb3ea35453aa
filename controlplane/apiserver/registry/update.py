"""PUT and PATCH: how an object takes the place of another.

An update is a function of the live object, run inside the storage's compare-and-write loop, so that a PATCH needs no
retry of its own. In upstream's order: what the change makes is defaulted, its fields are given to their manager,
mutating plugins complete it, the strategy resets what may not change, the kind's rules and then the validating plugins
may refuse it. A result equal to the live object is not written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import objects
from controlplane.api.validation.causes import invalid
from controlplane.api.validation.metadata import no_new_finalizers
from controlplane.apiserver.admission import interface as admission
from controlplane.apiserver.registry import managed
from controlplane.apiserver.registry.allocation.interface import Allocation
from controlplane.apiserver.registry.delete import is_finished
from controlplane.apiserver.requests.context import Transform, WriteContext
from controlplane.apiserver.storage_errors import other_uid, translating
from controlplane.storage.errors import StorageError
from controlplane.storage.interface import Preconditions, Removal

if TYPE_CHECKING:
    from controlplane.apiserver.registry.registry import Registry

# What a client cannot change after creation.
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


async def update(
    registry: Registry,
    namespace: str,
    name: str,
    transform: Transform,
    context: WriteContext,
    preconditions: Preconditions,
) -> Obj:
    """Replace the object by what `transform` makes of it."""
    key = registry.row.key(namespace, name)
    removed: list[Obj] = []
    # The live object as the client sees it.
    seen: list[Obj] = []
    taken: list[Allocation] = []
    # As the original does, begin with what the cache has: a write compares, and a refusal is tried on the newest state.
    known = None if context.is_dry_run else registry.peek(key)
    warned = len(context.warnings)

    async def change(live: Obj) -> Obj | Removal:
        while taken:
            # Another writer was first: this try begins anew.
            await taken.pop().revert()
        del context.warnings[warned:]
        served = await registry.served(live)
        seen[:] = [served]
        wanted = await transform(meta.copy_of(served))
        return await _changed(registry, wanted, served, name, context, taken)

    async def stored(live: Obj) -> Obj | Removal:
        result = await change(live)
        removed[:] = [live] if isinstance(result, Removal) else []
        if isinstance(result, Removal) or result == live:
            return result
        if result is seen[0] and live.get("apiVersion") == registry.row.group_version:
            # Nothing has changed, in whatever version it was looked at.
            return live
        return await registry.as_stored(result)

    with translating(registry.resource, name):
        if context.is_dry_run:
            live = await registry.storage.get(key)
            preconditions.check(key, live)
            result = await change(live)
            return result.obj if isinstance(result, Removal) else result
        try:
            written = await registry.storage.guaranteed_update(
                key,
                stored,
                preconditions=preconditions,
                cached=None if known is None else meta.copy_of(known),
                ttl_seconds=registry.strategy.ttl_seconds,
            )
        except (errors.APIError, StorageError) as error:
            if taken and error.outcome_known:
                await taken.pop().revert()
            raise
        if removed:
            await registry.allocator.release(removed[0])
        if taken:
            await taken.pop().commit()
    return await registry.served(written)


# Compat: upstream writes these past the strategy, so that a pod that was put on a node is still of generation 1.
_NOT_COUNTED = ("binding", "eviction")


async def _changed(
    registry: Registry,
    obj: Obj,
    live: Obj,
    name: str,
    context: WriteContext,
    taken: list[Allocation],
) -> Obj | Removal:
    """The object to store when a client wants `obj` in place of `live`; `taken` gets what was taken for it."""
    kind, strategy = registry.kind, registry.strategy
    _check_identity(registry, obj, live, name)
    kind.default(obj)
    managed.track(kind, live, obj, context, registry.now())
    attributes = registry.attributes(
        admission.UPDATE, context, obj, live, namespace=meta.namespace(live), name=name
    )
    if not context.is_admitted:
        await admission.mutate(registry.admission, attributes)
        # A webhook may change what the client may not.
        _check_identity(registry, obj, live, name)
    _keep_server_fields(obj, live)
    part = kind.parts.get(context.subresource)
    if part is not None:
        part.prepare(obj, live)
    elif context.subresource == "status":
        strategy.prepare_for_status_update(obj, live)
    elif not context.subresource:
        taken.append(await registry.allocator.for_update(obj, live, is_dry_run=context.is_dry_run))
        strategy.prepare_for_update(obj, live)
    if context.subresource not in _NOT_COUNTED:
        strategy.bump_generation(obj, live)
    causes: list[Cause] = []
    if not context.subresource:
        causes = objects.validate_update(kind, obj, live)
    elif context.subresource == "status":
        # A status write cannot break what it does not touch.
        causes = objects.validate_status(kind, obj, live)
    elif part is not None:
        causes = objects.validate_part(part, obj, live)
    else:
        causes = no_new_finalizers(obj, live)
    registry.refuse(name, causes)
    if not context.subresource:
        context.warnings.extend(kind.warnings(obj, live))
    obj = kind.kept(obj)
    obj["metadata"]["resourceVersion"] = meta.resource_version(live)
    if not context.is_admitted:
        attributes = registry.attributes(
            admission.UPDATE, context, obj, live, namespace=meta.namespace(live), name=name
        )
        await admission.validate(registry.admission, attributes)
    if is_finished(strategy, obj):
        return Removal(obj)
    return live if managed.only_time_differs(obj, live) else obj


def _keep_server_fields(obj: Obj, live: Obj) -> None:
    fields, old = meta.ensure_metadata(obj), meta.metadata(live)
    for field in _SERVER_FIELDS:
        if field in old:
            fields[field] = old[field]
        else:
            fields.pop(field, None)
    fields.pop("selfLink", None)


def _check_identity(registry: Registry, obj: Obj, live: Obj, name: str) -> None:
    """Refuse an object that is not the one the URL and the store mean."""
    fields, old = meta.ensure_metadata(obj), meta.metadata(live)
    if fields.setdefault("name", name) != name:
        raise errors.BadRequest(
            f"the name of the object ({fields['name']}) does not match the name on the URL ({name})"
        )
    if registry.resource.namespaced:
        namespace = old.get("namespace", "")
        if (fields.get("namespace") or namespace) != namespace:
            raise errors.BadRequest(
                "the namespace of the provided object does not match the namespace sent on "
                "the request"
            )
        fields["namespace"] = namespace
    uid = fields.get("uid")
    if uid and uid != old.get("uid"):
        key = registry.store_key(old.get("namespace", ""), name)
        raise other_uid(registry.resource, key, name, uid, old.get("uid", ""))
    version = fields.get("resourceVersion")
    if version and not version.isdecimal():
        # Compat: a plain error of the original's, which its edge makes a 500 without a reason.
        raise errors.APIError(f"strconv.ParseUint: parsing {json.dumps(version)}: invalid syntax")
    if version and version != old.get("resourceVersion"):
        raise errors.Conflict.of(registry.resource, name)
    if not version and not registry.strategy.allows_unconditional_update:
        # Compat: the store says so, which knows the plural only.
        cause = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        row = registry.resource
        raise errors.Invalid.of(row.group, row.plural, name, [cause])
