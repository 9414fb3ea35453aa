"""PUT namespaces/NAME/finalize: the one way to take a namespace's own finalizers away."""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.kinds.core.namespace import finalizer_problems


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Replace spec.finalizers by the body's."""
    registry = server.registries[resource]
    wanted = body.parse_object(request, registry.kind)
    info = request.info

    own = list(meta.spec(wanted).get("finalizers") or [])
    causes = [
        cause
        for number, name in enumerate(own)
        for cause in finalizer_problems(name, f"spec.finalizers[{number}]")
    ]
    registry.refuse(info.name, causes)

    async def finalized(live: Obj) -> Obj:
        version = meta.resource_version(wanted)
        if version and version != meta.resource_version(live):
            raise errors.Conflict.of(resource, info.name)
        live["spec"] = {**meta.spec(live), "finalizers": own}
        return live

    context = writes.context_of(request, resource, subresource="finalize")
    updated = await registry.update(info.namespace, info.name, finalized, context)
    return render.one(request, registry.kind, updated, server.clock)
