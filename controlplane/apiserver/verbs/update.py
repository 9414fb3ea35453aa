"""PUT of an object, or of its status."""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Replace the object by the body; 201 for kinds that a PUT may make."""
    registry = server.registries[resource]
    context = writes.context_of(request, resource)
    obj = body.parse_object(request, registry.kind)
    info = request.info
    if not meta.name(obj):
        raise errors.BadRequest(
            f"the name of the object ({info.name} based on URL) was undeterminable: name must be "
            "provided"
        )

    async def replaced(live: Obj) -> Obj:
        del live
        return meta.copy_of(obj)

    try:
        updated = await registry.update(info.namespace, info.name, replaced, context)
    except errors.NotFound:
        if info.subresource or not registry.strategy.creates_on_update:
            raise
        fields = meta.ensure_metadata(obj)
        fields.pop("resourceVersion", None)
        if fields.setdefault("name", info.name) != info.name:
            raise
        created = await registry.create(info.namespace, obj, context)
        return render.one(request, registry.kind, created, server.clock, 201)
    return render.one(request, registry.kind, updated, server.clock)
