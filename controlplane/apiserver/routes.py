"""Which handler answers which request: verbs of resources, and documents."""

from collections.abc import Awaitable, Callable

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.documents import (
    components,
    discovery,
    flow_control,
    health,
    openapi,
    openid,
    root,
)
from controlplane.apiserver.http.messages import Answer, Request, Response
from controlplane.apiserver.reviews import table as reviews
from controlplane.apiserver.served import Server
from controlplane.apiserver.subresources import binding
from controlplane.apiserver.subresources import table as subresources
from controlplane.apiserver.verbs import create, delete, get, patch, update, watch
from controlplane.apiserver.verbs import list as list_handler
from controlplane.kinds.core.binding import BINDINGS
from controlplane.kinds.core.component_status import COMPONENT_STATUSES

Handler = Callable[[Server, Request, Resource], Awaitable[Answer]]

_VERBS: dict[str, Handler] = {
    "create": create.handle,
    "get": get.handle,
    "list": list_handler.handle,
    "watch": watch.handle,
    "update": update.handle,
    "patch": patch.handle,
    "delete": delete.handle,
    "deletecollection": delete.handle_collection,
}
_DOCUMENTS: dict[str, Callable[[Server, Request], Awaitable[Response]]] = {
    "api": discovery.handle,
    "apis": discovery.handle,
    "openapi": openapi.handle,
    "openid": openid.handle_keys,
    ".well-known": openid.handle_configuration,
    "healthz": health.handle_check,
    "livez": health.handle_check,
    "readyz": health.handle_check,
    "version": health.handle_version,
    "metrics": health.handle_metrics,
    "debug": flow_control.handle,
    "": root.handle,
}
# Kinds whose objects are answered, or made for the answer, and not stored.
_OWN: dict[Resource, Handler] = {
    **dict.fromkeys(reviews.REVIEWS, reviews.handle),
    COMPONENT_STATUSES: components.handle,
    BINDINGS: binding.handle,
}
# What follows one of these is a part of the API or nothing: their 404 is a Status.
_API_ROOTS = ("api", "apis")


# Subresources that what follows them belongs to.
_WITH_PATHS = ("proxy",)
# Compat: a POST of these documents is answered like a GET.
_POSTED = (*_API_ROOTS, "healthz", "livez", "readyz")
_ALONE = ("metrics", "version")


async def route(server: Server, request: Request) -> Answer:
    """Answer a request."""
    info = request.info
    if not info.is_resource:
        return await _document(server, request)
    resource = server.scheme.by_plural(info.group, info.version, info.resource)
    if resource is None and info.group and await server.refresh():
        resource = server.scheme.by_plural(info.group, info.version, info.resource)
    if resource is None:
        if (info.group, info.version) not in server.scheme.group_versions():
            return root.not_found()
        raise errors.NotFound.path()
    if ("//" in request.path or info.rest) and info.subresource not in _WITH_PATHS:
        raise errors.NotFound.path()
    if request.method == "HEAD" and info.subresource != "proxy":
        # Compat: the original has no such routes, though it takes the verb for a get.
        raise errors.MethodNotAllowed()
    _check_place(request, resource)
    deprecation = server.scheme.kind_of(resource).deprecation
    if deprecation and info.verb in resource.verbs:
        request.warnings.append(deprecation)
        request.annotations["k8s.io/deprecated"] = "true"
    if info.subresource:
        return await subresources.handle(server, request, resource)
    return await _handler(request, resource)(server, request, resource)


def _handler(request: Request, resource: Resource) -> Handler:
    """What answers a verb; objects of some kinds are made for the answer and not stored. Raises MethodNotAllowed."""
    info = request.info
    handler = _VERBS.get(info.verb)
    if handler is None or info.verb not in resource.verbs:
        raise errors.MethodNotAllowed()
    if info.verb == "create" and info.name:
        raise errors.MethodNotAllowed()
    if not info.name and info.verb in ("update", "patch"):
        raise errors.MethodNotAllowed()
    return _OWN.get(resource, handler)


def _check_place(request: Request, resource: Resource) -> None:
    info = request.info
    is_in_one_place = info.name or info.verb not in ("list", "watch")
    if resource.namespaced and not info.namespace and is_in_one_place and info.verb != "watch":
        # Across namespaces there are only lists and watches: neither POST nor DELETE of a collection.
        if info.name:
            raise errors.NotFound.path()
        raise errors.MethodNotAllowed()
    if not resource.namespaced and info.namespace and resource.plural != "namespaces":
        raise errors.NotFound.path()


async def _document(server: Server, request: Request) -> Response:
    first = request.path.strip("/").split("/")[0]
    handler = _DOCUMENTS.get(first)
    if handler is None:
        return root.not_found()
    methods = ("GET", "HEAD", "POST") if first in _POSTED else ("GET", "HEAD")
    if request.method not in methods:
        raise errors.MethodNotAllowed()
    if first in _API_ROOTS and "//" in request.path:
        raise errors.NotFound.path()
    if first in _ALONE and request.path != f"/{first}":
        return root.not_found()
    try:
        return await handler(server, request)
    except errors.NotFound:
        # Compat: only what follows a version that is served is a part of the API.
        if request.path.startswith("/openapi/v3/"):
            return Response(404, b"", "text/plain; charset=utf-8")
        return root.not_found()
