"""PUT of an object, of its status, or of a namespace's finalizers."""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Parts


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """Replace the object by the body."""
    registry = parts.registries[resource]
    obj = body.parse_object(request, registry.kind)
    info = request.info
    updated = await registry.update(
        info.namespace, info.name, lambda _: meta.copy_of(obj), writes.context_of(request, resource)
    )
    return render.one(request, registry.kind, updated, parts.clock)


async def handle_finalize(parts: Parts, request: Request, resource: Resource) -> Response:
    """PUT of a namespace's finalizers: the one way to take them away."""
    registry = parts.registries[resource]
    wanted = body.parse_object(request, registry.kind)
    info = request.info

    def finalized(live: Obj) -> Obj:
        version = meta.resource_version(wanted)
        if version and version != meta.resource_version(live):
            raise errors.Conflict.of(resource, info.name)
        live["spec"] = {**meta.spec(live), "finalizers": meta.spec(wanted).get("finalizers") or []}
        return live

    context = writes.context_of(request, resource, subresource="finalize")
    updated = await registry.update(info.namespace, info.name, finalized, context)
    return render.one(request, registry.kind, updated, parts.clock)
