"""GET of one object, as JSON, YAML, a Table or metadata only."""

from controlplane.api.resource import Resource
from controlplane.apiserver.context import Parts
from controlplane.apiserver.handlers import render
from controlplane.apiserver.messages import Request, Response


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """The object, read from a majority of the store."""
    obj = await parts.registries[resource].get(request.info.namespace, request.info.name)
    return render.one(request, resource, obj, parts.clock)
