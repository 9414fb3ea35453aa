"""Paths and what they mean."""

import pytest

from controlplane.apiserver.http.info import parse

# method, path, watch -> verb, group, version, namespace, resource, name, subresource
TABLE = {
    "list_all": ("GET", "/api/v1/pods", False, ("list", "", "v1", "", "pods", "", "")),
    "watch_all": ("GET", "/api/v1/pods", True, ("watch", "", "v1", "", "pods", "", "")),
    "old_watch": ("GET", "/api/v1/watch/pods", False, ("watch", "", "v1", "", "pods", "", "")),
    "create": (
        "POST",
        "/apis/apps/v1/namespaces/n/deployments",
        False,
        ("create", "apps", "v1", "n", "deployments", "", ""),
    ),
    "get": ("GET", "/api/v1/namespaces/n/pods/p", False, ("get", "", "v1", "n", "pods", "p", "")),
    "update_status": (
        "PUT",
        "/apis/apps/v1/namespaces/n/deployments/d/status",
        False,
        ("update", "apps", "v1", "n", "deployments", "d", "status"),
    ),
    "patch_node": ("PATCH", "/api/v1/nodes/x", False, ("patch", "", "v1", "", "nodes", "x", "")),
    "namespaces": (
        "GET",
        "/api/v1/namespaces",
        False,
        ("list", "", "v1", "", "namespaces", "", ""),
    ),
    "namespace": (
        "DELETE",
        "/api/v1/namespaces/n",
        False,
        ("delete", "", "v1", "n", "namespaces", "n", ""),
    ),
    "namespace_finalize": (
        "PUT",
        "/api/v1/namespaces/n/finalize",
        False,
        ("update", "", "v1", "n", "namespaces", "n", "finalize"),
    ),
    "collection": (
        "DELETE",
        "/api/v1/namespaces/n/pods",
        False,
        ("deletecollection", "", "v1", "n", "pods", "", ""),
    ),
    "log": (
        "GET",
        "/api/v1/namespaces/n/pods/p/log",
        False,
        ("get", "", "v1", "n", "pods", "p", "log"),
    ),
    "slashes": ("GET", "//api/v1//pods/", False, ("list", "", "v1", "", "pods", "", "")),
}


@pytest.mark.parametrize(("method", "path", "watch", "expected"), TABLE.values(), ids=TABLE)
def test_resource_paths(method: str, path: str, watch: bool, expected: tuple[str, ...]) -> None:
    info = parse(method, path, is_watch=watch)
    assert info.is_resource
    found = (info.verb, info.group, info.version, info.namespace, info.resource, info.name)
    assert (*found, info.subresource) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/version",
        "/openapi/v3/api/v1",
    ],
)
def test_documents_are_no_resources(path: str) -> None:
    assert not parse("GET", path).is_resource


def test_rest_of_a_path_is_kept_for_proxies() -> None:
    info = parse("GET", "/api/v1/nodes/x/proxy/a/b")
    assert (info.name, info.subresource, info.rest) == ("x", "proxy", ("a", "b"))
