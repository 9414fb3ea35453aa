"""PATCH: four kinds of patches, all functions of the live object, run inside the storage's write loop."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import msgspec

from controlplane.api import errors, meta, times
from controlplane.api.errors import APIError, Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.patch import apply, json_patch, merge_patch, strategic, typed
from controlplane.api.resource import Resource
from controlplane.api.schema import strict
from controlplane.api.schema.builtin import Schema
from controlplane.api.schema.values import MalformedError
from controlplane.api.validation import causes
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import body_type
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.served import Server

_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = writes.APPLY_PATCH
# How often a create and an update may each find that the other one was right.
_APPLY_TRIES = 5
_CUSTOM = (_JSON_PATCH, _MERGE_PATCH, _APPLY)


def parse_patch(request: Request, schema: Schema | None) -> Callable[[Obj], Obj]:
    """The patch in the body as a pure function of an object; UnsupportedMediaType for other kinds."""
    media_type = body_type(request.headers.get("content-type", ""))
    if media_type == _JSON_PATCH:
        operations = json_patch.parse(request.body)
        return lambda obj: json_patch.apply(obj, operations)
    if media_type not in (_MERGE_PATCH, _STRATEGIC):
        raise _unsupported()
    patch = _parse_object(request, media_type)
    if media_type == _MERGE_PATCH:
        return lambda obj: merge_patch.apply(obj, patch)
    return lambda obj: strategic.apply(obj, patch, schema)


def _unsupported() -> errors.UnsupportedMediaType:
    error = errors.UnsupportedMediaType("")
    error.message = "415: Unsupported Media Type"
    error.has_empty_details = True
    return error


def _parse_object(request: Request, media_type: str) -> Obj:
    prefix = "error decoding patch: " if media_type == _MERGE_PATCH else ""
    try:
        json.loads(request.body)
    except ValueError as error:
        problem = strict.decoding_problem(request.body, error)
        raise errors.BadRequest(f"error decoding patch: {problem}") from error
    patch, problems = strict.loads(request.body)
    if not isinstance(patch, dict):
        kind = strict.json_type(patch)
        raise errors.BadRequest(
            f"{prefix}json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    mode = request.option("fieldValidation") or "Warn"
    if problems and mode == "Strict":
        raise _refused_patch(request, patch, patch, f"strict decoding error: {', '.join(problems)}")
    if mode == "Warn":
        request.warnings.extend(problems)
    return patch


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """PATCH of an object or of its status."""
    registry, info = server.registries[resource], request.info
    media_type = body_type(request.headers.get("content-type", ""))
    if registry.kind.own_schema is not None and media_type not in _CUSTOM:
        raise errors.UnsupportedMediaType(media_type, _CUSTOM)
    if media_type not in (*_CUSTOM, _STRATEGIC):
        raise _unsupported()
    context = writes.context_of(request, resource)
    if media_type == _APPLY:
        return await _apply(server, request, resource)
    change = parse_patch(request, registry.kind.schema)

    async def transform(live: Obj) -> Obj:
        return patched(request, registry, change(live), live)

    updated = await registry.update(info.namespace, info.name, transform, context)
    return render.one(request, registry.kind, updated, server.clock)


def patched(request: Request, registry: Registry, obj: Obj, live: Obj) -> Obj:
    """What a patch has made, as the kind's type keeps it; Invalid when it is nothing of that type."""
    kind = registry.kind
    row = kind.resource
    if body_type(request.headers.get("content-type", "")) == _STRATEGIC:
        # Compat: a strategic patch is done on a typed object, which cannot lose its type.
        obj.setdefault("apiVersion", row.group_version)
        obj.setdefault("kind", row.kind)
    given = (obj.get("apiVersion"), obj.get("kind"))
    if given != (kind.resource.group_version, kind.resource.kind):
        raise _refused_patch(request, obj, _read(request), _unknown_kind(*given))
    if meta.is_reset_of_owners(obj):
        # An empty list would vanish with the other empty ones.
        obj["metadata"]["managedFields"] = [{}]
    try:
        made, problems = body.decoded(obj, kind)
    except MalformedError as error:
        raise _refused_patch(request, obj, _read(request), _shown(request, error)) from None
    mode = request.option("fieldValidation") or "Warn"
    if problems and mode == "Strict":
        text = f"strict decoding error: {', '.join(problems)}"
        raise _refused_patch(request, obj, _read(request), text)
    if mode == "Warn":
        request.warnings.extend(problems)
    if not meta.name(made):
        raise errors.BadRequest(
            f"the name of the object ({request.info.name} based on URL) was undeterminable: name "
            "must be provided"
        )
    uid = meta.uid(made)
    if uid and uid != meta.uid(live):
        raise _other_uid(registry, live, uid)
    return made


def _other_uid(registry: Registry, live: Obj, uid: str) -> errors.APIError:
    """A patch may not mean another object; most kinds' rules say so a second time."""
    times_told = 2 if MetadataRules.CHANGED in registry.kind.metadata_rules else 1
    wrong = causes.immutable("metadata.uid", uid)
    return errors.Invalid.for_resource(registry.row, meta.name(live), [wrong] * times_told)


def _read(request: Request) -> Any:
    return json.loads(request.body)


def _unknown_kind(api_version: Any, kind: Any) -> str:
    if not kind:
        return "Object 'Kind' is missing"
    scheme = "pkg/api/legacyscheme/scheme.go:30"
    return f'no kind "{kind}" is registered for version "{api_version}" in scheme "{scheme}"'


def _shown(request: Request, error: MalformedError) -> str:
    """Compat: a strategic patch is decoded another way, whose errors are other ones."""
    if body_type(request.headers.get("content-type", "")) != _STRATEGIC or not error.go_type:
        return str(error)
    kinds = {"array": "slice", "object": "map", "number": "int64"}
    given = kinds.get(error.shown, error.shown)
    if error.go_type.startswith("map["):
        return f"cannot restore map from {given}"
    if error.go_type.startswith("[]"):
        return f"cannot restore slice from {given}"
    if "." in error.go_type:
        return f"cannot restore struct from: {given}"
    return str(error)


def _refused_patch(request: Request, made: Obj, patch: Any, problem: str) -> errors.Invalid:
    """A patch that does not leave an object; the value shown is the object, or a strategic patch itself."""
    if body_type(request.headers.get("content-type", "")) == _STRATEGIC:
        value = causes.show(typed.shown(patch))
    else:
        value = causes.show(msgspec.json.encode(made, order="sorted").decode())
    cause = Cause("patch", f"Invalid value: {value}: {problem}")
    return errors.Invalid.of("", "", "", [cause])


async def _apply(server: Server, request: Request, resource: Resource) -> Response:
    """Server-side apply: create what is missing, else merge and keep account of who owns what."""
    info, registry = request.info, server.registries[resource]
    context = dataclasses.replace(writes.context_of(request, resource), is_apply=True)
    config = configuration(request, registry.kind)

    force = request.flag("force")

    def applied(live: Obj | None) -> Obj:
        return merged(registry, live, config, context, now=server.clock.time(), force=force)

    async def update(live: Obj) -> Obj:
        return applied(live)

    for _ in range(_APPLY_TRIES):
        try:
            updated = await registry.update(info.namespace, info.name, update, context)
            return render.one(request, registry.kind, updated, server.clock)
        except errors.NotFound:
            if info.subresource:
                raise
        uid = meta.uid(config)
        if uid:
            why = (
                f"uid mismatch: the provided object specified uid {uid}, and no existing object "
                "was found"
            )
            raise errors.Conflict.of(resource, info.name, why)
        try:
            created = await registry.create(info.namespace, applied(None), context)
            return render.one(request, registry.kind, created, server.clock, 201)
        except errors.AlreadyExists:
            # Somebody else has created it in between: then it is an update after all.
            continue
    raise errors.Conflict.of(resource, info.name)


def merged(
    registry: Registry,
    live: Obj | None,
    config: Obj,
    context: WriteContext,
    *,
    now: float,
    force: bool,
) -> Obj:
    """A partial object merged into the live one, with the account of who owns what; None makes a new one."""
    resource = registry.resource
    made = apply.apply(
        live,
        meta.copy_of(config),
        registry.kind.schema,
        manager=context.manager,
        now=times.to_rfc3339(now),
        force=force,
        subresource=context.subresource,
        ignored=apply.ignored_fields(resource.has_status(), context.subresource),
        zero=registry.kind.zero(),
    )
    try:
        made = registry.kind.kept(made)
    except MalformedError as error:
        # Compat: a plain error of the original's, which its edge makes a 500 without a reason.
        raise APIError(f"failed to convert new typed object to object: {error}") from None
    uid = meta.uid(config)
    if live is not None and uid and uid != meta.uid(live):
        raise _other_uid(registry, live, uid)
    return made


def configuration(request: Request, kind: Kind) -> Obj:
    """The body of an apply: a partial object that says which one it is part of."""
    try:
        value, problems = body.parse(request)
    except errors.BadRequest as error:
        raise errors.BadRequest(f"error decoding YAML: {error.message}") from error
    problems = [f"error converting YAML to JSON: {problem}" for problem in problems]
    if not isinstance(value, dict):
        kind_name = strict.json_type(value)
        raise errors.BadRequest(
            f"error decoding YAML: json: cannot unmarshal {kind_name} into Go value of type "
            "map[string]interface {}"
        )
    mode = request.option("fieldValidation") or "Warn"
    if problems and mode == "Strict":
        raise errors.BadRequest(f"error strict decoding YAML: {', '.join(problems)}")
    if mode == "Warn":
        request.warnings.extend(body.as_warnings(problems))
    row, info = kind.resource, request.info
    given = (value.get("apiVersion") or "", value.get("kind") or "")
    if given != (row.group_version, row.kind):
        group, _, version = str(given[0]).rpartition("/")
        raise errors.BadRequest(f"invalid object type: {group}/{version}, Kind={given[1]}")
    fields = meta.ensure_metadata(value)
    if fields.get("managedFields"):
        raise errors.BadRequest("metadata.managedFields must be nil")
    name = fields.setdefault("name", info.name)
    if name != info.name:
        raise errors.BadRequest(
            f"the name of the object ({name}) does not match the name on the URL ({info.name})"
        )
    if row.namespaced and fields.get("namespace", info.namespace) != info.namespace:
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return value
