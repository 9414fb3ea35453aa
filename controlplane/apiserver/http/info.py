"""Method and path -> verb, group, version, resource, namespace, name, subresource. Pure.

Follows the path grammar of the Kubernetes API concepts page: `/api/v1/...` for the core group,
`/apis/<group>/<version>/...` for the others, `namespaces/<ns>/` before namespaced resources. The old
spelling `watch/` before a resource is a watch too.
"""

from dataclasses import dataclass

_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}
# These stand below a namespace's own name and are its subresources, not resources in it.
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a request is about; `is_resource` is false for documents such as /version and /apis."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    # What follows the subresource, for proxies.
    rest: tuple[str, ...] = ()


def parse(method: str, path: str, *, is_watch: bool = False) -> RequestInfo:
    """The `RequestInfo` of a request; `is_watch` is its `watch` query parameter."""
    plain = RequestInfo(method.lower(), path)
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, parts = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return plain
    # Methods without a verb reach proxies alone.
    verb = _VERBS.get(method, "")
    if parts[0] == "watch" and len(parts) > 1:
        is_watch, parts = True, parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            namespace, parts = parts[1], parts[2:]
        else:
            namespace = parts[1]
    resource, name = parts[0], parts[1] if len(parts) > 1 else ""
    is_passed_on = parts[2:3] == ["proxy"]
    if verb == "get" and is_watch and not is_passed_on:
        verb = "watch"
    elif not name and verb in ("get", "delete"):
        verb = {"get": "list", "delete": "deletecollection"}[verb]
    return RequestInfo(
        verb=verb,
        path=path,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        name=name,
        subresource=parts[2] if len(parts) > 2 else "",
        rest=tuple(parts[3:]),
    )
