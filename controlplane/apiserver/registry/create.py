"""POST: how a new object comes to be stored.

In upstream's order: what was decoded is defaulted, its fields are given to their manager, mutating plugins complete it,
the strategy resets what a client may not set, the kind's rules and then the validating plugins may refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.api import errors, meta, names
from controlplane.api.meta import Obj
from controlplane.api.validation import objects
from controlplane.apiserver.admission import interface as admission
from controlplane.apiserver.registry import managed
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.storage_errors import translating
from controlplane.storage.errors import KeyExistsError, KeyNotFoundError

if TYPE_CHECKING:
    from controlplane.apiserver.registry.registry import Registry

# Upstream tries a generated name this often before it answers AlreadyExists.
_NAME_TRIES = 8
_ENDING = "object is being deleted: "
# What a client cannot set; deletion fields come with a DELETE only.
_SERVER_FIELDS = (
    "resourceVersion",
    "selfLink",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


async def create(registry: Registry, namespace: str, obj: Obj, context: WriteContext) -> Obj:
    """Admit, complete and store a new object, which becomes the registry's."""
    _check_identity(registry, namespace, obj, context)
    kind = registry.kind
    kind.default(obj)
    managed.track(kind, None, obj, context, registry.now())
    attributes = registry.attributes(
        admission.CREATE, context, obj, namespace=namespace, name=meta.name(obj)
    )
    if not context.is_admitted:
        await admission.mutate(registry.admission, attributes)
        # A webhook may change what the client may not.
        _check_identity(registry, namespace, obj, context)
    base = meta.metadata(obj).get("generateName") if not meta.name(obj) else None
    if not base:
        return await _create(registry, namespace, obj, context)
    for _ in range(_NAME_TRIES - 1):
        tried = meta.copy_of(obj)
        tried["metadata"]["name"] = names.generate_name(base, registry.rng)
        try:
            return await _create(registry, namespace, tried, context)
        except errors.AlreadyExists:
            continue
    obj["metadata"]["name"] = names.generate_name(base, registry.rng)
    return await _create(registry, namespace, obj, context)


def _check_identity(registry: Registry, namespace: str, obj: Obj, context: WriteContext) -> None:
    resource, fields = registry.resource, meta.ensure_metadata(obj)
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
    if fields.get("resourceVersion") not in (None, "", "0") and not context.is_dry_run:
        # Compat: it is the store that refuses, so that a dry run does not, and that without a reason.
        raise errors.APIError("resourceVersion should not be set on objects to be created")


async def _create(registry: Registry, namespace: str, obj: Obj, context: WriteContext) -> Obj:
    """Complete and store an object that has its name, as mutating plugins have left it."""
    fields, resource = meta.ensure_metadata(obj), registry.resource
    for field in _SERVER_FIELDS:
        fields.pop(field, None)
    fields["uid"] = names.generate_uid(registry.rng)
    fields["creationTimestamp"] = registry.now()
    name = meta.name(obj)
    with translating(resource, name):
        taken = await registry.allocator.for_create(obj, is_dry_run=context.is_dry_run)
    try:
        stored = await _store(registry, namespace, obj, context)
    except errors.APIError as error:
        if error.outcome_known:
            # Else the object may be stored after all, and must not lose what it has; the repair will tell.
            await taken.revert()
        raise
    await taken.commit()
    return stored


async def _store(registry: Registry, namespace: str, obj: Obj, context: WriteContext) -> Obj:
    """Prepare, judge and store an object that has all it needs of shared ranges."""
    resource, kind, name = registry.resource, registry.kind, meta.name(obj)
    registry.strategy.prepare_for_create(obj)
    registry.refuse(name, objects.validate_create(kind, obj))
    context.warnings.extend(kind.warnings(obj, None))
    obj = kind.kept(obj)
    if not context.is_admitted:
        attributes = registry.attributes(
            admission.CREATE, context, obj, namespace=namespace, name=name
        )
        await admission.validate(registry.admission, attributes)
    key = registry.row.key(namespace, name)
    with translating(resource, name):
        try:
            return await _put(registry, key, obj, context)
        except KeyExistsError:
            if await _is_ending(registry, key):
                raise errors.AlreadyExists.of(resource, name, _ENDING) from None
            raise


async def _put(registry: Registry, key: str, obj: Obj, context: WriteContext) -> Obj:
    if context.is_dry_run:
        return await _pretend(registry, key, obj)
    ttl, stored = registry.strategy.ttl_seconds, await registry.as_stored(obj)
    return await registry.served(await registry.storage.create(key, stored, ttl_seconds=ttl))


async def _is_ending(registry: Registry, key: str) -> bool:
    try:
        live = await registry.storage.get(key)
    except KeyNotFoundError:
        return False
    return bool(meta.metadata(live).get("deletionTimestamp"))


async def _pretend(registry: Registry, key: str, obj: Obj) -> Obj:
    page = await registry.storage.list(key, limit=1)
    row = registry.row
    found = page.items and row.key(meta.namespace(obj), meta.name(page.items[0])) == key
    if found:
        raise KeyExistsError(key)
    return obj
