"""Reads what an API server serves, in the aggregated form (APIGroupDiscovery of apidiscovery.k8s.io/v2).

A server that does not know that form (before 1.30) is asked group by group; its answers are put into the same shape, a
group version that does not answer being `Stale`, as an aggregating server would call it.
"""

from typing import Any

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.client.rest import RestClient

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_ACCEPT = f"{_AGGREGATED},application/json"


async def discover(client: RestClient) -> list[Obj]:
    """The items of both roots: one a group, the legacy group first. Raises APIError."""
    found: list[Obj] = []
    for root in ("/api", "/apis"):
        document = await client.get_path(root, accept=_ACCEPT)
        if document.get("kind") == "APIGroupDiscoveryList":
            found += document.get("items") or []
        elif root == "/api":
            found.append(await _group(client, "", list(document.get("versions") or ())))
        else:
            for group in document.get("groups") or ():
                versions = [str(entry["version"]) for entry in group.get("versions") or ()]
                found.append(await _group(client, str(group["name"]), versions))
    return found


async def _group(client: RestClient, name: str, versions: list[str]) -> Obj:
    entries: list[Obj] = []
    for version in versions:
        path = f"/apis/{name}/{version}" if name else f"/api/{version}"
        try:
            document = await client.get_path(path)
        except APIError:
            entries.append({"version": version, "resources": [], "freshness": "Stale"})
            continue
        resources = _resources(name, version, document.get("resources") or ())
        entries.append({"version": version, "resources": resources, "freshness": "Current"})
    return {"metadata": {"name": name}, "versions": entries}


def _resources(group: str, version: str, listed: Any) -> list[Obj]:
    found: dict[str, Obj] = {}
    for entry in listed:
        name, _, subresource = str(entry["name"]).partition("/")
        kind = {
            "group": entry.get("group", group),
            "version": entry.get("version", version),
            "kind": entry.get("kind", ""),
        }
        verbs = entry.get("verbs") or []
        if subresource:
            parent = found.setdefault(name, {"resource": name, "verbs": []})
            parent.setdefault("subresources", []).append(
                {"subresource": subresource, "responseKind": kind, "verbs": verbs}
            )
            continue
        found.setdefault(name, {"resource": name}).update(
            responseKind=kind,
            scope="Namespaced" if entry.get("namespaced") else "Cluster",
            singularResource=entry.get("singularName", ""),
            verbs=verbs,
            shortNames=entry.get("shortNames") or [],
            categories=entry.get("categories") or [],
        )
    return list(found.values())
