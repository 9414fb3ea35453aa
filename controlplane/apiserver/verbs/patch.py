"""PATCH: four kinds of patches, all functions of the live object, run inside the storage's write loop."""

import dataclasses
from collections.abc import Callable
from typing import Any

from controlplane.api import errors, meta, times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.patch import apply, json_patch, merge_patch, strategic
from controlplane.api.resource import Resource
from controlplane.api.schema import strict
from controlplane.api.schema.builtin import Schema
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import body_type
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Parts

_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
# How often a create and an update may each find that the other one was right.
_APPLY_TRIES = 5
_ALL = (_JSON_PATCH, _MERGE_PATCH, _STRATEGIC, _APPLY)


def parse_patch(request: Request, schema: Schema | None) -> Callable[[Obj], Obj]:
    """The patch in the body as a pure function of an object; UnsupportedMediaType for other kinds."""
    media_type = body_type(request.headers.get("content-type", ""))
    if media_type == _JSON_PATCH:
        operations = json_patch.parse(request.body)
        return lambda obj: json_patch.apply(obj, operations)
    if media_type not in (_MERGE_PATCH, _STRATEGIC):
        raise errors.UnsupportedMediaType(media_type, _ALL)
    patch, problems = strict.loads(request.body)
    if not isinstance(patch, dict):
        raise errors.BadRequest("error decoding patch: a patch is an object")
    if problems and request.option("fieldValidation") == "Strict":
        raise strict.strict_error(problems)
    if problems and request.option("fieldValidation", "Warn") == "Warn":
        request.warnings.extend(problems)
    if media_type == _MERGE_PATCH:
        return lambda obj: _object(merge_patch.apply(obj, patch))
    return lambda obj: strategic.apply(obj, patch, schema)


def _object(value: Any) -> Obj:
    if not isinstance(value, dict):
        raise errors.BadRequest("the patch does not leave an object")
    return value


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """PATCH of an object or of its status."""
    if body_type(request.headers.get("content-type", "")) == _APPLY:
        return await _apply(parts, request, resource)
    registry, info = parts.registries[resource], request.info
    change = parse_patch(request, registry.kind.schema)

    async def transform(live: Obj) -> Obj:
        return body.checked(request, change(live), registry.kind)

    updated = await registry.update(
        info.namespace, info.name, transform, writes.context_of(request, resource)
    )
    return render.one(request, registry.kind, updated, parts.clock)


async def _apply(parts: Parts, request: Request, resource: Resource) -> Response:
    """Server-side apply: create what is missing, else merge and keep account of who owns what."""
    if not request.option("fieldManager"):
        raise errors.Invalid(
            "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for "
            "apply patch",
            causes=[Cause("fieldManager", "Required value: is required", "FieldValueRequired")],
        )
    info, registry = request.info, parts.registries[resource]
    config = _configuration(request, registry.kind)
    context = dataclasses.replace(writes.context_of(request, resource), is_apply=True)

    def applied(live: Obj | None) -> Obj:
        return apply.apply(
            live,
            meta.copy_of(config),
            registry.kind.schema,
            manager=context.manager,
            now=times.to_rfc3339(parts.clock.time()),
            force=request.flag("force"),
            subresource=context.subresource,
            ignored=apply.ignored_fields(resource.has_status(), context.subresource),
        )

    async def merged(live: Obj) -> Obj:
        return applied(live)

    for _ in range(_APPLY_TRIES):
        try:
            updated = await registry.update(info.namespace, info.name, merged, context)
            return render.one(request, registry.kind, updated, parts.clock)
        except errors.NotFound:
            if info.subresource or meta.uid(config):
                raise
        try:
            created = await registry.create(info.namespace, applied(None), context)
            return render.one(request, registry.kind, created, parts.clock, 201)
        except errors.AlreadyExists:
            # Somebody else has created it in between: then it is an update after all.
            continue
    raise errors.Conflict.of(resource, info.name)


def _configuration(request: Request, kind: Kind) -> Obj:
    value, problems = body.parse(request)
    if not isinstance(value, dict):
        raise errors.BadRequest("the configuration is not an object")
    if not value.get("apiVersion") or not value.get("kind"):
        raise errors.BadRequest("error decoding YAML: Object 'Kind' or 'apiVersion' is missing")
    config = body.checked(request, value, kind, problems, is_partial=True)
    fields, info = meta.ensure_metadata(config), request.info
    if fields.setdefault("name", info.name) != info.name:
        raise errors.BadRequest(
            f"name in URL does not match name in configuration: {info.name}, {fields['name']}"
        )
    if (
        kind.resource.namespaced
        and fields.setdefault("namespace", info.namespace) != info.namespace
    ):
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return config
