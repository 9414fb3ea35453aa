"""Which Service of type LoadBalancer has which address of the pool. Pure.

A Service keeps the address its status shows. A new one gets the lowest that is free, or the one of
`spec.loadBalancerIP` if that is in the pool and free. One of another class (`spec.loadBalancerClass`) is another
balancer's. What is no LoadBalancer any more loses the address. The source of who keeps what:
cloud-provider/controllers/service/controller.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj

CLASS = "quorate.dev/local"
"""The name of this balancer among classes; Services that name none are its, too."""

RESERVED = 10
"""The first addresses of the pool, which are the balancer's own."""
INGRESS = 2
"""Which of them Ingresses have."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A Service whose status is to change; no rows: it has no balancer any more."""

    service: Obj
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and the Services for which no address is left."""

    changes: tuple[Assignment, ...] = ()
    without: tuple[Obj, ...] = ()


def is_ours(service: Obj) -> bool:
    """Whether this balancer serves it."""
    spec = meta.spec(service)
    named = spec.get("loadBalancerClass")
    return spec.get("type") == "LoadBalancer" and (not named or named == CLASS)


def plan(services: Iterable[Obj], pool: str) -> Plan:
    """What is to be changed so that each Service has what it should; the oldest come first."""
    network = ipaddress.ip_network(pool)
    ordered = sorted(services, key=lambda one: (meta.creation_timestamp(one), meta.key_of(one)))
    taken: dict[str, tuple[str, str]] = {}
    for service in ordered:
        for address in _held(service, network):
            if is_ours(service):
                taken.setdefault(address, meta.key_of(service))
    changes: list[Assignment] = []
    without: list[Obj] = []
    for service in ordered:
        if not is_ours(service):
            if _held(service, network):
                changes.append(Assignment(service, ()))
            continue
        if any(taken.get(one) == meta.key_of(service) for one in _held(service, network)):
            continue
        found = _free(service, network, taken)
        if found is None:
            without.append(service)
            continue
        taken[found] = meta.key_of(service)
        # "Proxy": nodes and pods cannot take a loopback address of the machine for the Service's own.
        changes.append(Assignment(service, ({"ip": found, "ipMode": "Proxy"},)))
    return Plan(tuple(changes), tuple(without))


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _held(service: Obj, network: _Network) -> list[str]:
    rows = (meta.status(service).get("loadBalancer") or {}).get("ingress") or ()
    return [row["ip"] for row in rows if row.get("ip") and _is_in(row["ip"], network)]


def _is_in(address: str, network: _Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _free(service: Obj, network: _Network, taken: dict[str, tuple[str, str]]) -> str | None:
    asked = str(meta.spec(service).get("loadBalancerIP") or "")
    if asked:
        return asked if _is_in(asked, network) and asked not in taken else None
    return next((one for one in _addresses(network) if one not in taken), None)


def _addresses(network: _Network) -> Iterator[str]:
    for number in range(RESERVED, network.num_addresses - 1):
        yield str(network[number])
