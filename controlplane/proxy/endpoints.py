"""Which endpoints a Service's traffic may go to, seen from one node. Pure.

As upstream's kube-proxy chooses (pkg/proxy/topology.go): ready endpoints; where there is none, those that still serve
while they end. A `Local` traffic policy takes only endpoints of this node; traffic distribution takes endpoints whose
hints name this node, its zone, or all when a hint is missing anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj

SERVICE_LABEL = "kubernetes.io/service-name"
_AFFINITY_SECONDS = 10800
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address and port behind a Service's port."""

    address: str
    port: int
    is_local: bool = False
    is_ready: bool = True
    is_serving: bool = True
    is_terminating: bool = False
    node: str = field(default="", compare=False)
    zone_hints: frozenset[str] = field(default=frozenset(), compare=False)
    node_hints: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What of its node the proxy has to know."""

    name: str
    zone: str = ""


def of_port(slices: Iterable[Obj], port_name: str, protocol: str, node: NodeView) -> list[Endpoint]:
    """All endpoints of one port of a Service, each once, in a fixed order."""
    found: dict[tuple[str, int], Endpoint] = {}
    for part in slices:
        number = next(
            (
                int(port["port"])
                for port in part.get("ports") or ()
                if port.get("port")
                and (port.get("name") or "") == port_name
                and (port.get("protocol") or "TCP") == protocol
            ),
            0,
        )
        if not number:
            continue
        for row in part.get("endpoints") or ():
            for address in row.get("addresses") or ():
                one = _endpoint(row, str(address), number, node)
                key = (one.address, one.port)
                # The same pod may stand in two slices for a moment: what says more of it counts.
                if key not in found or (one.is_ready and not found[key].is_ready):
                    found[key] = one
    return [found[key] for key in sorted(found)]


def _endpoint(row: Obj, address: str, port: int, node: NodeView) -> Endpoint:
    states, hints = row.get("conditions") or {}, row.get("hints") or {}
    ready = states.get("ready") is not False
    serving = states.get("serving")
    return Endpoint(
        address,
        port,
        is_local=row.get("nodeName") == node.name,
        is_ready=ready,
        is_serving=ready if serving is None else bool(serving),
        is_terminating=bool(states.get("terminating")),
        node=str(row.get("nodeName") or ""),
        zone_hints=frozenset(str(hint.get("name")) for hint in hints.get("forZones") or ()),
        node_hints=frozenset(str(hint.get("name")) for hint in hints.get("forNodes") or ()),
    )


def seen_from(endpoint: Endpoint, node: NodeView) -> Endpoint:
    """The same endpoint as another node sees it."""
    return replace(endpoint, is_local=bool(node.name) and endpoint.node == node.name)


def usable(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Ready ones; without any, those that serve while they end."""
    ready = [one for one in endpoints if one.is_ready]
    if ready:
        return ready
    return [one for one in endpoints if one.is_serving and one.is_terminating]


def for_cluster(endpoints: Sequence[Endpoint], node: NodeView) -> list[Endpoint]:
    """Where traffic goes that may go anywhere."""
    return _near(usable(endpoints), node)


def for_local(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Where traffic goes that may not leave the node."""
    return usable([one for one in endpoints if one.is_local])


def _near(endpoints: list[Endpoint], node: NodeView) -> list[Endpoint]:
    if not endpoints:
        return endpoints
    if all(one.node_hints for one in endpoints):
        found = [one for one in endpoints if node.name in one.node_hints]
        if found:
            return found
    if node.zone and all(one.zone_hints for one in endpoints):
        found = [one for one in endpoints if node.zone in one.zone_hints]
        if found:
            return found
    return endpoints


def is_proxied(service: Obj) -> bool:
    """Whether the proxy has anything to do with a Service: it has addresses, and no other proxy is named."""
    labels = meta.metadata(service).get("labels") or {}
    spec = meta.spec(service)
    return (
        spec.get("type") != "ExternalName"
        and spec.get("clusterIP") not in (None, "", "None")
        and PROXY_NAME_LABEL not in labels
    )


def affinity_seconds(spec: Mapping[str, Any]) -> int:
    """How long a client stays with its endpoint; 0 when it need not."""
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or _AFFINITY_SECONDS)


def allowed_sources(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """loadBalancerSourceRanges, the IPv4 ones."""
    return tuple(
        str(one).strip() for one in spec.get("loadBalancerSourceRanges") or () if ":" not in one
    )
