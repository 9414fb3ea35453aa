"""Endpoints that are child processes of a node: the API takes no loopback addresses into Endpoints and slices. Pure.

So such pods are behind no Service for anybody in the cluster. The machine reaches them, and finds them by the Services'
selectors, as the controller of slices would.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.services import (
    addresses_of,
    belongs,
    find_port,
    selects,
)
from controlplane.proxy.endpoints import SERVICE_LABEL

SlicesOf = dict[tuple[str, str], list[Obj]]


def slices_of(services: Iterable[Obj], pods: Iterable[Obj]) -> SlicesOf:
    """What slices of these Services would be, one a pod, by (namespace, name) of the Service."""
    here = [pod for pod in pods if belongs(pod, with_terminating=False) and _is_process(pod)]
    found: SlicesOf = {}
    for service in services if here else ():
        namespace, publishes = meta.namespace(service), meta.spec(service)
        for pod in here:
            if meta.namespace(pod) != namespace or not selects(service, meta.labels(pod)):
                continue
            ready = bool(publishes.get("publishNotReadyAddresses"))
            made = _slice(service, pod, ready or conditions.is_true(pod, "Ready"))
            found.setdefault((namespace, meta.name(service)), []).append(made)
    return found


def _is_process(pod: Obj) -> bool:
    return ipaddress.ip_address(addresses_of(pod)[0]).is_loopback


def _slice(service: Obj, pod: Obj, is_ready: bool) -> Obj:
    ports = [
        {
            "name": port.get("name") or "",
            "protocol": port.get("protocol") or "TCP",
            "port": find_port(pod, port),
        }
        for port in meta.spec(service).get("ports") or ()
    ]
    return {
        "metadata": {"labels": {SERVICE_LABEL: meta.name(service)}},
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": addresses_of(pod)[:1],
                "nodeName": meta.spec(pod).get("nodeName"),
                "conditions": {"ready": is_ready},
            }
        ],
        "ports": ports,
    }
