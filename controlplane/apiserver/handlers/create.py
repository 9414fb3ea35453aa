"""POST to a collection."""

from controlplane.api.resource import Resource
from controlplane.apiserver.context import Parts
from controlplane.apiserver.handlers import body, render, writes
from controlplane.apiserver.messages import Request, Response


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """Create the object in the body; 201."""
    obj = body.parse_object(request, resource)
    created = await parts.registries[resource].create(
        request.info.namespace, obj, writes.context_of(request, resource)
    )
    return render.one(request, resource, created, parts.clock, 201)
