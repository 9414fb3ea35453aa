"""What other API servers say they serve, kept for discovery and OpenAPI, and asked for again from time to time.

A server that does not answer keeps its last word, told as stale; of one that never did only the group version is known.

Source: kube-aggregator/pkg/apiserver/handler_discovery.go (what is asked, and the fall back to older forms).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.wire.discovery import AGGREGATED_VERSIONS, aggregated_media_type
from controlplane.apiserver.aggregation.calls import CallError, RemoteServers, Reply
from controlplane.apiserver.aggregation.directory import Remote

_SECONDS = 5.0
_OPENAPI_SECONDS = 30.0
_ACCEPT = ",".join(
    (*(aggregated_media_type(version) for version in AGGREGATED_VERSIONS), "application/json")
)


@dataclass(slots=True)
class Said:
    """One server's documents."""

    # (group, version) -> its entry of aggregated discovery
    discovery: dict[tuple[str, str], Obj] = field(default_factory=dict)
    is_fresh: bool = False
    openapi_v2: Obj | None = None
    # path -> its entry of the index of OpenAPI v3
    openapi_v3: dict[str, Obj] = field(default_factory=dict)


class RemoteDocuments:
    """The documents of all servers; `generation` grows when any of them changes."""

    def __init__(self, servers: RemoteServers) -> None:
        self._servers = servers
        self._said: dict[tuple[str, str, int], Said] = {}
        self.generation = 0

    def of(self, remote: Remote) -> Said:
        """What the server of a group version has said."""
        return self._said.get(remote.server, Said())

    def entry(self, remote: Remote) -> Obj:
        """A group version in aggregated discovery; without resources when its server has never told them."""
        said = self.of(remote)
        known = said.discovery.get((remote.group, remote.version))
        is_fresh = said.is_fresh and remote.is_available
        return {
            **(known or {"version": remote.version}),
            "freshness": "Current" if is_fresh else "Stale",
        }

    def keep(self, remotes: list[Remote]) -> None:
        """Forget the servers that are no longer named."""
        gone = set(self._said) - {remote.server for remote in remotes}
        for server in gone:
            del self._said[server]
        self.generation += bool(gone)

    async def refresh(self, remote: Remote) -> None:
        """Ask the server of a group version again; never raises for what it answers."""
        before = self._said.get(remote.server, Said())
        now = Said(dict(before.discovery), False, before.openapi_v2, before.openapi_v3)
        try:
            now.discovery |= await self._discovery(remote)
            now.is_fresh = True
        except (CallError, ValueError, KeyError, TypeError, AttributeError):
            pass
        now.openapi_v2 = await self._document(remote, "/openapi/v2", before.openapi_v2)
        index = await self._document(remote, "/openapi/v3", None)
        if index is not None:
            paths = index.get("paths")
            now.openapi_v3 = paths if isinstance(paths, dict) else {}
        if now != before:
            self._said[remote.server] = now
            self.generation += 1

    async def _discovery(self, remote: Remote) -> dict[tuple[str, str], Obj]:
        reply = await self._servers.get(remote, "/apis", [("Accept", _ACCEPT)], _SECONDS)
        kind = reply.head.value("content-type").replace(" ", "")
        if reply.head.status == 200 and "as=APIGroupDiscoveryList" in kind:
            return {
                (str(group["metadata"]["name"]), str(version["version"])): version
                for group in _content(reply)["items"]
                for version in group["versions"]
            }
        accept = [("Accept", "application/json")]
        reply = await self._servers.get(remote, remote.path, accept, _SECONDS)
        if reply.head.status != 200:
            raise CallError(f"answered {reply.head.status}")
        resources = from_plain(_content(reply)["resources"])
        entry = {"version": remote.version, "resources": resources}
        return {(remote.group, remote.version): entry}

    async def _document(self, remote: Remote, path: str, before: Obj | None) -> Obj | None:
        accept = [("Accept", "application/json")]
        try:
            reply = await self._servers.get(remote, path, accept, _OPENAPI_SECONDS)
            if reply.head.status == 200:
                return _content(reply)
        except (CallError, ValueError):
            pass
        return before


def _content(reply: Reply) -> Obj:
    content: Any = json.loads(reply.body)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def from_plain(resources: list[Obj]) -> list[Obj]:
    """The rows of a plain list of resources in the aggregated form."""
    found: dict[str, Obj] = {}
    for row in resources:
        name, _, sub = str(row["name"]).partition("/")
        kind = {
            "group": row.get("group") or "",
            "version": row.get("version") or "",
            "kind": row.get("kind") or "",
        }
        if sub:
            parent = found.setdefault(
                name, {"resource": name, "responseKind": {}, "scope": _scope(row), "verbs": []}
            )
            entry = {"subresource": sub, "responseKind": kind, "verbs": row.get("verbs") or []}
            parent.setdefault("subresources", []).append(entry)
            continue
        entry = {
            "resource": name,
            "responseKind": kind,
            "scope": _scope(row),
            "singularResource": row.get("singularName") or "",
            "verbs": row.get("verbs") or [],
        }
        for key in ("shortNames", "categories"):
            if row.get(key):
                entry[key] = row[key]
        found[name] = {**found.get(name, {}), **entry}
    return list(found.values())


def _scope(row: Obj) -> str:
    return "Namespaced" if row.get("namespaced") else "Cluster"
