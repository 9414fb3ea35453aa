"""Paths below an object: status, scale, binding, eviction, log, finalize. What is not served is answered 405 or 404."""

from collections.abc import Awaitable, Callable

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response, StreamResponse
from controlplane.apiserver.served import Parts
from controlplane.apiserver.subresources import log as logs
from controlplane.apiserver.subresources import pods, scale
from controlplane.apiserver.verbs import get, patch, update

Answer = Response | StreamResponse
Handler = Callable[[Parts, Request, Resource], Awaitable[Answer]]

_HANDLERS: dict[tuple[str, str], Handler] = {
    ("status", "get"): get.handle,
    ("status", "update"): update.handle,
    ("status", "patch"): patch.handle,
    ("scale", "get"): scale.handle_get,
    ("scale", "update"): scale.handle_update,
    ("scale", "patch"): scale.handle_patch,
    ("finalize", "update"): update.handle_finalize,
    ("binding", "create"): pods.handle_binding,
    ("eviction", "create"): pods.handle_eviction,
    ("log", "get"): logs.handle,
}


async def handle(parts: Parts, request: Request, resource: Resource) -> Answer:
    """Answer a request for a subresource."""
    info = request.info
    row = resource.subresource(info.subresource)
    if row is None:
        raise errors.NotFound.path()
    handler = _HANDLERS.get((info.subresource, info.verb))
    if handler is None or info.verb not in row.verbs:
        raise errors.MethodNotAllowed(kind=resource.plural, group=resource.group, name=info.name)
    return await handler(parts, request, resource)
