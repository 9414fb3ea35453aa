"""POST to a collection."""

from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Create the object in the body; 201."""
    registry = server.registries[resource]
    context = writes.context_of(request, resource)
    obj = body.parse_object(request, registry.kind)
    created = await registry.create(request.info.namespace, obj, context)
    return render.one(request, registry.kind, created, server.clock, 201)
