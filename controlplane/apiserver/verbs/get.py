"""GET of one object, as JSON, YAML, a Table or metadata only."""

from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import list_options, render
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """The object, read from a majority of the store."""
    registry = server.registries[resource]
    version = list_options.of_get(request)
    if version:
        # Whatever is read now is new enough, unless the revision has not come yet.
        with translating(resource):
            await server.caches.wait_for(version)
    obj = await registry.get(request.info.namespace, request.info.name)
    return render.one(request, registry.kind, obj, server.clock)
