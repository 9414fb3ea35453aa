"""Services and their endpoints -> places to listen at, each with the endpoints behind it. Pure.

For a proxy in user space: on nodes without nftables, where it listens at cluster addresses, and on the machine of a
local cluster, where it listens at node ports and at the addresses of balancers. Which endpoints a place leads to is
chosen as by the rules of nftables (`endpoints.py`); what a proxy in user space cannot give is the client's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.proxy import endpoints as eps
from controlplane.proxy.endpoints import Endpoint, NodeView

SlicesOf = Mapping[tuple[str, str], Sequence[Obj]]
"""EndpointSlices by (namespace, name) of their Service."""


@dataclass(frozen=True, slots=True, order=True)
class Frontend:
    """A place to listen at. `via` names the node that connections must go through; "" is any."""

    address: str
    port: int
    protocol: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Backend:
    """An endpoint, and the node it runs on ("" where that is not known)."""

    address: str
    port: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """What a frontend leads to."""

    service: str
    """namespace/name:port, for logs; clients that stick do so by it."""
    backends: tuple[Backend, ...] = ()
    affinity_seconds: int = 0
    """How long a client stays with its endpoint; 0: each connection may go elsewhere."""
    sources: tuple[str, ...] = ()
    """The networks that may connect; empty: all."""


def on_node(
    services: Iterable[Obj], slices_of: SlicesOf, node: NodeView, addresses: Sequence[str]
) -> dict[Frontend, Pool]:
    """For a node: cluster addresses, external addresses, and node ports at the node's `addresses`."""
    made: dict[Frontend, Pool] = {}
    for service, port, protocol, found in _ports(services, slices_of):
        spec = meta.spec(service)
        mine = [eps.seen_from(one, node) for one in found]
        number = int(port["port"])
        inside = _chosen(spec, "internalTrafficPolicy", mine, node)
        outside = _chosen(spec, "externalTrafficPolicy", mine, node)
        for address in _cluster_addresses(spec):
            made[Frontend(address, number, protocol)] = _pool(service, port, inside)
        for address in (*_v4(spec.get("externalIPs") or ()), *balancer_addresses(service)):
            made[Frontend(address, number, protocol)] = _pool(service, port, outside, limited=True)
        if port.get("nodePort"):
            for address in addresses:
                at = Frontend(address, int(port["nodePort"]), protocol)
                made[at] = _pool(service, port, outside)
    return made


def _as_it_is(port: int) -> int:
    return port


def on_machine(
    services: Iterable[Obj],
    slices_of: SlicesOf,
    nodes: Mapping[str, str],
    shared: str,
    balancer_port: Callable[[int], int] = _as_it_is,
) -> dict[Frontend, Pool]:
    """For the machine of a local cluster: node ports at `shared` and at each node's address, and balancers.

    `nodes` has the nodes' addresses on the machine by name. `shared` stands for all nodes, as a balancer in front of
    them would: what may not leave a node goes to the nodes that have an endpoint.
    `balancer_port` says where a balancer's port is served, if not at itself.
    """
    made: dict[Frontend, Pool] = {}
    for service, port, protocol, found in _ports(services, slices_of):
        spec = meta.spec(service)
        everywhere = eps.usable(found)
        if port.get("nodePort"):
            number = int(port["nodePort"])
            made[Frontend(shared, number, protocol)] = _pool(service, port, everywhere)
            for name, address in nodes.items():
                view = NodeView(name)
                seen = [eps.seen_from(one, view) for one in found]
                chosen = _chosen(spec, "externalTrafficPolicy", seen, view)
                made[Frontend(address, number, protocol, name)] = _pool(service, port, chosen)
        for address in balancer_addresses(service, proxied=True):
            at = Frontend(address, balancer_port(int(port["port"])), protocol)
            made[at] = _pool(service, port, everywhere, limited=True)
    return made


def to_service(service: Obj, slices_of: SlicesOf) -> dict[int, Pool]:
    """All endpoints of one Service, by its ports: for one who stands at no place in particular. UDP ports, too."""
    return {
        int(port["port"]): _pool(service, port, eps.usable(found))
        for _, port, _, found in _ports([service], slices_of, headless=True)
    }


def balancer_addresses(service: Obj, *, proxied: bool = False) -> list[str]:
    """The IPv4 addresses of the Service's balancer: those a node answers itself, or those another proxy does."""
    rows = (meta.status(service).get("loadBalancer") or {}).get("ingress") or ()
    return _v4(
        str(row["ip"])
        for row in rows
        if row.get("ip") and (row.get("ipMode") == "Proxy") == proxied
    )


def by_service(slices: Iterable[Obj]) -> dict[tuple[str, str], list[Obj]]:
    """IPv4 EndpointSlices by (namespace, name) of their Service."""
    found: dict[tuple[str, str], list[Obj]] = {}
    for part in slices:
        name = (meta.metadata(part).get("labels") or {}).get(eps.SERVICE_LABEL)
        if name and part.get("addressType", "IPv4") == "IPv4":
            found.setdefault((meta.namespace(part), str(name)), []).append(part)
    return found


def _ports(
    services: Iterable[Obj], slices_of: SlicesOf, *, headless: bool = False
) -> Iterable[tuple[Obj, Obj, str, list[Endpoint]]]:
    """Each port of each Service with its endpoints, as no node sees them."""
    for service in services:
        if not (eps.is_proxied(service) or headless):
            continue
        slices = slices_of.get((meta.namespace(service), meta.name(service)), ())
        for port in meta.spec(service).get("ports") or ():
            protocol = str(port.get("protocol") or "TCP")
            if protocol in ("TCP", "UDP"):
                name = str(port.get("name") or "")
                yield service, port, protocol, eps.of_port(slices, name, protocol, NodeView(""))


def _chosen(
    spec: Mapping[str, Any], policy: str, found: list[Endpoint], node: NodeView
) -> list[Endpoint]:
    return eps.for_local(found) if spec.get(policy) == "Local" else eps.for_cluster(found, node)


def _pool(service: Obj, port: Obj, found: list[Endpoint], *, limited: bool = False) -> Pool:
    spec = meta.spec(service)
    name = f"{meta.namespace(service)}/{meta.name(service)}:{port.get('name') or ''}"
    return Pool(
        name,
        tuple(Backend(one.address, one.port, one.node) for one in found),
        eps.affinity_seconds(spec),
        eps.allowed_sources(spec) if limited else (),
    )


def _cluster_addresses(spec: Mapping[str, Any]) -> list[str]:
    return _v4(spec.get("clusterIPs") or [spec["clusterIP"]])


def _v4(addresses: Iterable[str]) -> list[str]:
    return [str(one) for one in addresses if ":" not in one]
