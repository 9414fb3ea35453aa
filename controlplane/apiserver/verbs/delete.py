"""DELETE of one object or of a collection."""

from controlplane.api import errors, meta
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions, Strategy
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.requests import render, selection
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Delete one; a Status when it is gone, the object when it is only marked."""
    options = writes.delete_options(request)
    info = request.info
    registry = server.registries[resource]
    context = writes.delete_context(request, resource, options)
    _warn(request, registry.strategy, options)
    obj, is_gone = await registry.delete(info.namespace, info.name, options, context)
    if not is_gone or registry.strategy.returns_deleted:
        return render.one(request, registry.kind, obj, server.clock)
    done = errors.success(
        name=info.name, group=resource.group, kind=resource.plural, uid=meta.uid(obj)
    )
    return render.status(request, done)


async def handle_collection(server: Server, request: Request, resource: Resource) -> Response:
    """Delete all that the selectors take; the list of what was deleted."""
    options = writes.delete_options(request)
    registry = server.registries[resource]
    context = writes.delete_context(request, resource, options)
    _warn(request, registry.strategy, options)
    chosen = selection.parse(request, registry.kind, registry.row)
    with translating(resource):
        page = await server.storage.list(chosen.prefix)
    deleted = []
    for obj in await registry.those(page.items, chosen.matches):
        try:
            gone, _ = await registry.delete(meta.namespace(obj), meta.name(obj), options, context)
        except errors.NotFound:
            continue
        deleted.append(gone)
    list_meta = {"resourceVersion": str(page.revision)}
    return render.many(request, registry.kind, deleted, list_meta, server.clock)


def _warn(request: Request, strategy: Strategy, options: DeleteOptions) -> None:
    if strategy.unsaid_propagation_warning and not options.propagation:
        request.warnings.append(strategy.unsaid_propagation_warning)
