"""Discovery documents from the scheme: legacy lists and the aggregated form, as pure functions.

Aggregated discovery must be answered in exactly the version the client asked for: kubectl 1.27 to
1.29 offer only v2beta1 and find no resources in a v2 reply.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme

Object = dict[str, Any]
AGGREGATED_VERSIONS = ("v2", "v2beta1")


def aggregated_media_type(version: str) -> str:
    """The Content-Type of an aggregated reply; `version` is one of AGGREGATED_VERSIONS."""
    return f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


def api_versions(scheme: Scheme, server_address: str = "") -> Object:
    """The answer to GET /api."""
    return {
        "kind": "APIVersions",
        "versions": scheme.versions(""),
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def api_group_list(scheme: Scheme) -> Object:
    """The answer to GET /apis."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(scheme, name) for name in scheme.groups() if name],
    }


def api_group(scheme: Scheme, name: str) -> Object | None:
    """The answer to GET /apis/GROUP; None when the group is not served."""
    if not name or name not in scheme.groups():
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(scheme, name)}


def _group(scheme: Scheme, name: str) -> Object:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in scheme.versions(name)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def api_resource_list(scheme: Scheme, group: str, version: str) -> Object | None:
    """The answer to GET /api/v1 or /apis/GROUP/VERSION; None when not served."""
    rows = scheme.in_group_version(group, version)
    if not rows:
        return None
    resources: list[Object] = []
    for row in rows:
        resources.append(_resource(row))
        resources += [
            {
                "name": f"{row.plural}/{sub.name}",
                "singularName": "",
                "namespaced": row.namespaced,
                **({"group": sub.group, "version": sub.version} if sub.group else {}),
                "kind": sub.kind or row.kind,
                "verbs": list(sub.verbs),
            }
            for sub in row.subresources
        ]
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),
        "groupVersion": rows[0].group_version,
        "resources": resources,
    }


def _resource(row: Resource) -> Object:
    entry: Object = {
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    return entry


def aggregated(scheme: Scheme, version: str, *, legacy: bool) -> Object:
    """The aggregated answer to GET /api (`legacy`) or GET /apis."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None}
            if name
            else {"creationTimestamp": None},
            "versions": [
                {
                    "version": api,
                    "resources": [
                        _aggregated_resource(row) for row in scheme.in_group_version(name, api)
                    ],
                    "freshness": "Current",
                }
                for api in scheme.versions(name)
            ],
        }
        for name in scheme.groups()
        if (name == "") is legacy
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(row: Resource) -> Object:
    entry: Object = {
        "resource": row.plural,
        "responseKind": {"group": row.group, "version": row.version, "kind": row.kind},
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    if row.subresources:
        entry["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {
                    "group": sub.group if sub.kind else row.group,
                    "version": (sub.version or "v1") if sub.kind else row.version,
                    "kind": sub.kind or row.kind,
                },
                "verbs": list(sub.verbs),
            }
            for sub in row.subresources
        ]
    return entry
