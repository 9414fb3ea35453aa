"""The scale subresource: any scalable kind as an autoscaling/v1 Scale."""

from collections.abc import Callable

from controlplane.api import errors, meta
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


def scale_of(obj: Obj) -> Obj:
    """The Scale that stands for `obj`."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    fields = {key: value for key, value in meta.metadata(obj).items() if key in kept}
    status: Obj = {"replicas": meta.status(obj).get("replicas") or 0}
    selector = meta.spec(obj).get("selector")
    if selector:
        status["selector"] = str(LabelSelector.from_object(selector))
    replicas = meta.spec(obj).get("replicas")
    return {
        "kind": "Scale",
        "apiVersion": SCALE.resource.group_version,
        "metadata": fields,
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def scaled(obj: Obj, scale: Obj, resource: Resource) -> Obj:
    """`obj` with the replicas of `scale`, whose resourceVersion, if any, must be the object's."""
    causes = SCALE.validate(scale)
    if causes:
        raise errors.Invalid.of("autoscaling", "Scale", meta.name(obj), causes)
    version = meta.resource_version(scale)
    if version and version != meta.resource_version(obj):
        raise errors.Conflict.of(resource, meta.name(obj))
    obj["spec"] = {**meta.spec(obj), "replicas": int(meta.spec(scale).get("replicas") or 0)}
    return obj


async def handle_get(parts: Parts, request: Request, resource: Resource) -> Response:
    """GET."""
    obj = await parts.registries[resource].get(request.info.namespace, request.info.name)
    return render.one(request, SCALE, scale_of(obj), parts.clock)


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
    registry, info = parts.registries[resource], request.info
    context = writes.context_of(request, resource)

    async def transform(live: Obj) -> Obj:
        old = scale_of(live)
        wanted = change(scale_of(live))
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
        return scaled(live, wanted, resource)

    updated = await registry.update(
        info.namespace, info.name, transform, without_admission(context)
    )
    return render.one(request, SCALE, scale_of(updated), parts.clock)
