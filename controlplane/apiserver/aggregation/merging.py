"""This server's documents with those of the servers behind it. Pure.

Groups stand by the priority that their APIServices give them, versions in a group likewise.

Sources: kube-aggregator/pkg/apiserver/handler_apis.go, pkg/apis/apiregistration/v1/helper, controllers/openapi.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.wire.discovery import version_order
from controlplane.apiserver.aggregation.directory import Priority, Remote

Priorities = Mapping[tuple[str, str], Priority]

_FIRST = "apiregistration.k8s.io"
# A custom group whose APIService is not there yet.
_CUSTOM = Priority(1000, 100)
_DEFINITIONS = "#/definitions/"


def groups(own: Sequence[Obj], remotes: Sequence[Remote], priorities: Priorities) -> list[Obj]:
    """The entries of an APIGroupList."""
    versions = {
        str(group["name"]): [str(one["version"]) for one in group["versions"]] for group in own
    }
    for remote in remotes:
        if remote.group:
            known = versions.setdefault(remote.group, [])
            if remote.version not in known:
                known.append(remote.version)
    return [_group(name, versions[name], priorities) for name in _ordered(versions, priorities)]


def _group(name: str, versions: list[str], priorities: Priorities) -> Obj:
    rows = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in _ordered_versions(name, versions, priorities)
    ]
    return {"name": name, "versions": rows, "preferredVersion": rows[0]}


def _ordered(names: Mapping[str, Any], priorities: Priorities) -> list[str]:
    first: dict[str, int] = {}
    for (group, _), priority in priorities.items():
        first[group] = max(priority.group, first.get(group, 0))
    return sorted(names, key=lambda name: (name != _FIRST, -first.get(name, _CUSTOM.group), name))


def _ordered_versions(group: str, versions: Sequence[str], priorities: Priorities) -> list[str]:
    def place(version: str) -> tuple[int, tuple[int, int, int, str]]:
        priority = priorities.get((group, version), _CUSTOM)
        return -priority.version, version_order(version)

    return sorted(versions, key=place)


def aggregated(
    own: Sequence[Obj], others: Sequence[tuple[Remote, Obj]], priorities: Priorities
) -> list[Obj]:
    """The items of an APIGroupDiscoveryList; `others` are entries of group versions."""
    found: dict[str, dict[str, Obj]] = {
        str(item["metadata"]["name"]): {str(one["version"]): one for one in item["versions"]}
        for item in own
    }
    meta = {str(item["metadata"]["name"]): item["metadata"] for item in own}
    for remote, entry in others:
        if remote.group:
            found.setdefault(remote.group, {})[remote.version] = entry
    return [
        {
            "metadata": meta.get(name, {"name": name}),
            "versions": [
                found[name][version]
                for version in _ordered_versions(name, list(found[name]), priorities)
            ],
        }
        for name in _ordered(found, priorities)
    ]


def openapi_v2(own: Obj, others: Sequence[tuple[Remote, Obj]]) -> Obj:
    """One OpenAPI 2 document. Of others come the paths of their group versions; a name for two things gets `_v2`."""
    paths, definitions = dict(own["paths"]), dict(own["definitions"])
    for remote, spec in others:
        chosen = {
            path: item
            for path, item in (spec.get("paths") or {}).items()
            if path not in paths and path.rstrip("/").startswith(remote.path)
        }
        theirs = spec.get("definitions") or {}
        used = _used(chosen, theirs)
        names = {name: _free(name, theirs[name], definitions) for name in sorted(used)}
        for name, free in names.items():
            definitions[free] = _renamed(theirs[name], names)
        paths |= _renamed(chosen, names)
    return {**own, "paths": paths, "definitions": definitions}


def _used(value: Any, definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            pending += list(one.values())
            link = one.get("$ref")
            if isinstance(link, str) and link.startswith(_DEFINITIONS):
                name = link.removeprefix(_DEFINITIONS)
                if name in definitions and name not in found:
                    found.add(name)
                    pending.append(definitions[name])
    return found


def _free(name: str, body: Any, taken: Mapping[str, Any]) -> str:
    """The name itself where it is free or means the same, else the next one that is."""
    number, shown = 1, name
    while shown in taken and taken[shown] != body:
        number += 1
        shown = f"{name}_v{number}"
    return shown


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    result = {key: _renamed(one, names) for key, one in value.items()}
    link = value.get("$ref")
    if isinstance(link, str) and link.removeprefix(_DEFINITIONS) in names:
        result["$ref"] = _DEFINITIONS + names[link.removeprefix(_DEFINITIONS)]
    return result


def openapi_v3_index(own: bytes, others: Sequence[tuple[Remote, Mapping[str, Obj]]]) -> bytes:
    """The index of OpenAPI 3 documents, with those of other servers' group versions."""
    content = json.loads(own)
    for remote, index in others:
        path = remote.path.removeprefix("/")
        if path in index:
            content["paths"][path] = index[path]
    return json.dumps(content, separators=(",", ":")).encode()
