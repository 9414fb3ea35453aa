"""GET of one object, as JSON, YAML, a Table or metadata only."""

from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import render
from controlplane.apiserver.served import Parts


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """The object, read from a majority of the store."""
    registry = parts.registries[resource]
    obj = await registry.get(request.info.namespace, request.info.name)
    return render.one(request, registry.kind, obj, parts.clock)
