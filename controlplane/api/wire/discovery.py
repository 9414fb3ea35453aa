"""Discovery documents from the scheme: plain lists and the aggregated form, as pure functions.

Aggregated discovery has one version since 1.36; a client that offers only an older one and plain JSON (kubectl 1.27 to
1.29) gets the plain lists, as from the original.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource, Subresource
from controlplane.api.scheme import Scheme

AGGREGATED_VERSIONS = ("v2",)

# The order in which the original lists its groups; groups of custom resources follow by their names.
_GROUPS = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
_PLACES = {name: place for place, name in enumerate(_GROUPS)}
# Compat: kinds whose hash is that of another version than the one we store.
_HASHED_AS = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "v1beta1",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): "v1beta1",
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): "v1beta1",
}
_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")


def aggregated_media_type(version: str, media_type: str = "application/json") -> str:
    """The Content-Type of an aggregated reply; `version` is one of AGGREGATED_VERSIONS."""
    return f"{media_type};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


def ordered_groups(scheme: Scheme) -> list[str]:
    """The names of the groups but the legacy one, in order of discovery."""
    names = [name for name in scheme.groups() if name]
    return sorted(names, key=lambda name: (_PLACES.get(name, len(_GROUPS)), name))


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as kubectl expects them: stable before beta before alpha, newer first, odd names last."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return 3, 0, 0, version
    level = {"": 0, "beta": 1, "alpha": 2}[found.group(2) or ""]
    return level, -int(found.group(1)), -int(found.group(3) or 0), version


def ordered_versions(scheme: Scheme, group: str) -> list[str]:
    """The versions of a group, the preferred first."""
    return sorted(scheme.versions(group), key=version_order)


def api_versions(scheme: Scheme, server_address: str = "") -> Obj:
    """The answer to GET /api; `server_address` is `host:port`."""
    return {
        "kind": "APIVersions",
        "versions": scheme.versions(""),
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    }


def api_group_list(scheme: Scheme) -> Obj:
    """The answer to GET /apis."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(scheme, name) for name in ordered_groups(scheme)],
    }


def api_group(scheme: Scheme, name: str) -> Obj | None:
    """The answer to GET /apis/GROUP; None when the group is not served."""
    if not name or name not in scheme.groups():
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(scheme, name)}


def _group(scheme: Scheme, name: str) -> Obj:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in ordered_versions(scheme, name)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _rows(scheme: Scheme, group: str, version: str) -> list[Resource]:
    return sorted(scheme.in_group_version(group, version), key=lambda row: row.plural)


def _subresources(row: Resource) -> list[Subresource]:
    return sorted(row.subresources, key=lambda sub: sub.name)


def api_resource_list(scheme: Scheme, group: str, version: str) -> Obj | None:
    """The answer to GET /api/v1 or /apis/GROUP/VERSION; None when not served."""
    rows = _rows(scheme, group, version)
    if not rows:
        return None
    resources: list[Obj] = []
    for row in rows:
        resources.append(_resource(scheme.kind_of(row)))
        resources += [
            {
                "name": f"{row.plural}/{sub.name}",
                "singularName": "",
                "namespaced": row.namespaced,
                **({"group": sub.group, "version": sub.version} if sub.group else {}),
                "kind": sub.kind or row.kind,
                "verbs": sorted(sub.verbs),
            }
            for sub in _subresources(row)
        ]
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),
        "groupVersion": rows[0].group_version,
        "resources": resources,
    }


def _resource(kind: Kind) -> Obj:
    row = kind.resource
    entry: Obj = {
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": sorted(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    if "watch" in row.verbs:
        # What cannot be watched is not stored.
        entry["storageVersionHash"] = storage_version_hash(kind)
    return entry


def storage_version_hash(kind: Kind) -> str:
    """A text that changes when the version changes in which objects are stored."""
    row = kind.resource
    group, version = row.group, _HASHED_AS.get((row.group, row.kind), row.version)
    if kind.conversion is not None:
        group, version, _ = kind.conversion.stored_as
    return _hash(f"{group}/{version}/{row.kind}")


@lru_cache(maxsize=4096)
def _hash(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:8]).decode()


def aggregated(scheme: Scheme, version: str, *, legacy: bool) -> Obj:
    """The aggregated answer to GET /api (`legacy`) or GET /apis."""
    names = [""] if legacy else ordered_groups(scheme)
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": api,
                    "resources": [_aggregated_resource(row) for row in _rows(scheme, name, api)],
                    "freshness": "Current",
                }
                for api in ordered_versions(scheme, name)
            ],
        }
        for name in names
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(row: Resource) -> Obj:
    entry: Obj = {
        "resource": row.plural,
        # Compat: the group and version of a kind of the group version itself are left empty.
        "responseKind": {"group": "", "version": "", "kind": row.kind},
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": sorted(row.verbs),
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
                    "group": sub.group,
                    "version": sub.version if sub.group else "",
                    "kind": sub.kind or row.kind,
                },
                "verbs": sorted(sub.verbs),
            }
            for sub in _subresources(row)
        ]
    return entry
