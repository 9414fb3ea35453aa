"""The scale subresource: any scalable kind as an autoscaling/v1 Scale."""

import dataclasses
from collections.abc import Callable

from controlplane.api import errors, meta, times
from controlplane.api.kind import Kind, ScalePaths
from controlplane.api.meta import Obj
from controlplane.api.patch import apply, scale_owners
from controlplane.api.patch.field_set import Path
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.admission.interface import UPDATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.http.negotiate import body_type
from controlplane.apiserver.registry.admitted import admitted, without_admission
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import other_uid
from controlplane.apiserver.verbs import patch
from controlplane.kinds.autoscaling.scale import KIND as SCALE

# A Scale's status follows from its object: nobody owns it.
_NOT_OWNED: tuple[Path, ...] = (("f:status",),)


def scale_of(obj: Obj, paths: ScalePaths) -> Obj:
    """The Scale that stands for `obj`."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    fields = {key: value for key, value in meta.metadata(obj).items() if key in kept}
    status: Obj = {"replicas": meta.get_path(obj, paths.status_replicas, 0) or 0}
    selector = meta.get_path(obj, paths.selector, None) if paths.selector else None
    if selector:
        is_text = isinstance(selector, str)
        status["selector"] = selector if is_text else str(LabelSelector.from_object(selector))
    replicas = meta.get_path(obj, paths.spec_replicas, None)
    return {
        "kind": "Scale",
        "apiVersion": SCALE.resource.group_version,
        "metadata": fields,
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def scaled(obj: Obj, scale: Obj, kind: Kind) -> Obj:
    """`obj` with the replicas of `scale`, whose resourceVersion, if any, must be the object's."""
    causes = SCALE.validate(scale)
    if causes:
        raise errors.Invalid.of("autoscaling", "Scale", meta.name(obj), causes)
    version = meta.resource_version(scale)
    if version and version != meta.resource_version(obj):
        raise errors.Conflict.of(kind.resource, meta.name(obj))
    *parents, last = kind.scale.spec_replicas.split(".")
    place = obj
    for step in parents:
        found = place.get(step)
        place[step] = place = dict(found) if isinstance(found, dict) else {}
    place[last] = int(meta.spec(scale).get("replicas") or 0)
    return obj


def _check_identity(registry: Registry, obj: Obj, scale: Obj, name: str) -> None:
    """Refuse a Scale that is not the one the URL and the store mean."""
    given, uid = meta.name(scale), meta.uid(scale)
    if given and given != name:
        text = f"the name of the object ({given}) does not match the name on the URL ({name})"
        raise errors.BadRequest(text)
    if uid and uid != meta.uid(obj):
        key = registry.row.key(meta.namespace(obj), name)
        raise other_uid(registry.resource, key, name, uid, meta.uid(obj))


async def handle_get(server: Server, request: Request, resource: Resource) -> Response:
    """GET."""
    kind = server.scheme.kind_of(resource)
    obj = await server.registries[resource].get(request.info.namespace, request.info.name)
    return render.one(request, SCALE, scale_of(obj, kind.scale), server.clock)


async def handle_update(server: Server, request: Request, resource: Resource) -> Response:
    """PUT."""
    context = writes.context_of(request, resource)
    wanted = body.parse_object(request, SCALE)
    return await _write(server, request, resource, context, lambda _: meta.copy_of(wanted))


async def handle_patch(server: Server, request: Request, resource: Resource) -> Response:
    """PATCH of the Scale."""
    context = writes.context_of(request, resource)
    if body_type(request.headers.get("content-type", "")) != writes.APPLY_PATCH:
        change = patch.parse_patch(request, SCALE.schema)
        return await _write(server, request, resource, context, change)
    config = patch.configuration(request, SCALE)
    context = dataclasses.replace(context, is_apply=True)

    def applied(live: Obj) -> Obj:
        return apply.apply(
            live,
            meta.copy_of(config),
            SCALE.schema,
            manager=context.manager,
            now=times.to_rfc3339(server.clock.time()),
            force=request.flag("force"),
            subresource="scale",
            ignored=_NOT_OWNED,
            zero=SCALE.zero(),
        )

    return await _write(server, request, resource, context, applied)


async def _write(
    server: Server,
    request: Request,
    resource: Resource,
    context: WriteContext,
    change: Callable[[Obj], Obj],
) -> Response:
    """Let in what `change` makes of the live Scale, and give the object its replicas and their owner."""
    registry, info, kind = (
        server.registries[resource],
        request.info,
        server.scheme.kind_of(resource),
    )
    replicas = scale_owners.path_of(kind.scale.spec_replicas)

    async def transform(live: Obj) -> Obj:
        old = scale_of(live, kind.scale)
        if kind.is_tracked:
            scale_owners.to_scale(live, old, replicas)
        wanted = change(meta.copy_of(old))
        if kind.is_tracked and not context.is_apply:
            apply.track_update(
                old,
                wanted,
                SCALE.schema,
                manager=context.manager,
                now=times.to_rfc3339(server.clock.time()),
                subresource="scale",
                ignored=_NOT_OWNED,
                zero=SCALE.zero(),
            )
        # Who owns what is not admission's business, and no part of a Scale that is shown.
        wanted = SCALE.kept(wanted)
        owners = meta.ensure_metadata(wanted).pop("managedFields", None)
        await admitted(
            registry,
            context,
            UPDATE,
            wanted,
            {**old, "metadata": _without_owners(old)},
            kind=SCALE,
            namespace=info.namespace,
            name=info.name,
        )
        _check_identity(registry, live, wanted, info.name)
        if owners is not None:
            meta.ensure_metadata(wanted)["managedFields"] = owners
        made = scaled(live, wanted, kind)
        if kind.is_tracked:
            scale_owners.to_object(made, wanted, replicas)
        return made

    # Who owns the replicas is settled here.
    written = dataclasses.replace(without_admission(context), is_apply=True)
    updated = await registry.update(info.namespace, info.name, transform, written)
    return render.one(request, SCALE, scale_of(updated, kind.scale), server.clock)


def _without_owners(obj: Obj) -> Obj:
    return {key: value for key, value in meta.metadata(obj).items() if key != "managedFields"}
