"""Which handler answers which path below an object; the only list. What is not in it is answered 405 or 404.

A handler stands under the resource it is for, or under `ANY` when it serves every kind that declares the subresource.
"""

from collections.abc import Awaitable, Callable

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Answer, Request
from controlplane.apiserver.served import Server
from controlplane.apiserver.subresources import (
    approval,
    binding,
    connect,
    eviction,
    finalize,
    log,
    part,
    proxy,
    scale,
    token,
)

Handler = Callable[[Server, Request, Resource], Awaitable[Answer]]

ANY = "*"
_REQUESTS = "certificatesigningrequests.certificates.k8s.io"


def _all(resource: str, handler: Handler) -> dict[tuple[str, str, str], Handler]:
    """A proxy takes requests of every method; OPTIONS has no verb."""
    verbs = ("create", "get", "update", "patch", "delete", "")
    return {(resource, "proxy", verb): handler for verb in verbs}


# (resource as errors name it, subresource, verb) -> handler
_HANDLERS: dict[tuple[str, str, str], Handler] = {
    (ANY, "status", "get"): part.handle_get,
    (ANY, "status", "update"): part.handle_update,
    (ANY, "status", "patch"): part.handle_patch,
    (ANY, "scale", "get"): scale.handle_get,
    (ANY, "scale", "update"): scale.handle_update,
    (ANY, "scale", "patch"): scale.handle_patch,
    ("namespaces", "finalize", "update"): finalize.handle,
    ("pods", "attach", "create"): connect.handle_attach,
    ("pods", "attach", "get"): connect.handle_attach,
    ("pods", "binding", "create"): binding.handle,
    ("pods", "ephemeralcontainers", "get"): part.handle_get,
    ("pods", "ephemeralcontainers", "update"): part.handle_update,
    ("pods", "ephemeralcontainers", "patch"): part.handle_patch,
    ("pods", "eviction", "create"): eviction.handle,
    ("pods", "exec", "create"): connect.handle_exec,
    ("pods", "exec", "get"): connect.handle_exec,
    ("pods", "log", "get"): log.handle,
    ("pods", "portforward", "create"): connect.handle_port_forward,
    ("pods", "portforward", "get"): connect.handle_port_forward,
    **_all("pods", proxy.handle_pod),
    **_all("services", proxy.handle_service),
    **_all("nodes", proxy.handle_node),
    ("pods", "resize", "get"): part.handle_get,
    ("pods", "resize", "update"): part.handle_update,
    ("pods", "resize", "patch"): part.handle_patch,
    ("serviceaccounts", "token", "create"): token.handle,
    (_REQUESTS, "approval", "get"): approval.handle_get,
    (_REQUESTS, "approval", "update"): approval.handle_update,
    (_REQUESTS, "approval", "patch"): approval.handle_patch,
}


def find(resource: Resource, subresource: str, verb: str) -> Handler | None:
    """The handler of a resource's own, else the one for all kinds, else None."""
    own = _HANDLERS.get((resource.group_resource, subresource, verb))
    return own or _HANDLERS.get((ANY, subresource, verb))


async def handle(server: Server, request: Request, resource: Resource) -> Answer:
    """Answer a request for a subresource."""
    info = request.info
    row = resource.subresource(info.subresource)
    if row is None:
        raise errors.NotFound.path()
    handler = find(resource, info.subresource, info.verb)
    if handler is None or (info.verb and info.verb not in row.verbs):
        raise errors.MethodNotAllowed()
    return await handler(server, request, resource)
