"""The scale subresource: any scalable kind as an autoscaling/v1 Scale."""

from collections.abc import Callable

from controlplane.api import errors, meta
from controlplane.api.kind import Kind, ScalePaths
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.admission.interface import UPDATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted, without_admission
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Parts
from controlplane.apiserver.verbs import patch
from controlplane.kinds.autoscaling.scale import KIND as SCALE


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


async def handle_get(parts: Parts, request: Request, resource: Resource) -> Response:
    """GET."""
    kind = parts.scheme.kind_of(resource)
    obj = await parts.registries[resource].get(request.info.namespace, request.info.name)
    return render.one(request, SCALE, scale_of(obj, kind.scale), parts.clock)


async def handle_update(parts: Parts, request: Request, resource: Resource) -> Response:
    """PUT."""
    wanted = body.parse_object(request, SCALE)
    return await _write(parts, request, resource, lambda _: meta.copy_of(wanted))


async def handle_patch(parts: Parts, request: Request, resource: Resource) -> Response:
    """PATCH of the Scale."""
    return await _write(parts, request, resource, patch.parse_patch(request, SCALE.schema))


async def _write(
    parts: Parts, request: Request, resource: Resource, change: Callable[[Obj], Obj]
) -> Response:
    """Let in what `change` makes of the live Scale, and give the object its replicas."""
    registry, info, kind = parts.registries[resource], request.info, parts.scheme.kind_of(resource)
    context = writes.context_of(request, resource)

    async def transform(live: Obj) -> Obj:
        old = scale_of(live, kind.scale)
        wanted = change(scale_of(live, kind.scale))
        await admitted(
            registry,
            context,
            UPDATE,
            wanted,
            old,
            kind=SCALE,
            namespace=info.namespace,
            name=info.name,
        )
        return scaled(live, wanted, kind)

    updated = await registry.update(
        info.namespace, info.name, transform, without_admission(context)
    )
    return render.one(request, SCALE, scale_of(updated, kind.scale), parts.clock)
