"""The subsets of an Endpoints object: pure.

Ports that lead to the same addresses share a subset, as upstream packs them. At most 1000 addresses are kept, the ready
ones first, and an annotation says when some were left out.
"""

import math
from collections.abc import Sequence
from typing import Any

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.services import (
    HEADLESS,
    address_type,
    addresses_of,
    belongs,
    find_port,
    is_headless,
    shows_hostname,
    target_reference,
)

MAX_ADDRESSES = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"

_Port = tuple[str, int, str, str]


def plan_subsets(service: Obj, pods: Sequence[Obj]) -> list[Obj]:
    """The subsets for the Pods a Service selects, before any are left out."""
    spec = meta.spec(service)
    publishes = bool(spec.get("publishNotReadyAddresses"))
    by_port: dict[_Port | None, dict[str, tuple[Obj, bool]]] = {}
    for pod in pods:
        if not belongs(pod, with_terminating=publishes):
            continue
        address = _address(service, pod)
        if address is None:
            continue
        entry = (address, publishes or conditions.is_true(pod, "Ready"))
        ports: list[_Port | None] = []
        if not spec.get("ports") and is_headless(service):
            ports.append(None)
        for port in spec.get("ports") or ():
            number = find_port(pod, port)
            if number is not None:
                protocol = str(port.get("protocol") or "TCP")
                app = str(port.get("appProtocol") or "")
                ports.append((str(port.get("name") or ""), number, protocol, app))
        for found in ports:
            by_port.setdefault(found, {})[meta.uid(pod)] = entry
    return _packed(by_port)


def _packed(by_port: dict[_Port | None, dict[str, tuple[Obj, bool]]]) -> list[Obj]:
    groups: dict[frozenset[str], list[_Port | None]] = {}
    for port, entries in by_port.items():
        groups.setdefault(frozenset(entries), []).append(port)
    subsets = []
    for uids, ports in groups.items():
        entries = by_port[ports[0]]
        subset: Obj = {}
        for field, wanted in (("addresses", True), ("notReadyAddresses", False)):
            found = [entries[uid][0] for uid in uids if entries[uid][1] is wanted]
            if found:
                subset[field] = sorted(found, key=lambda a: (a["ip"], a["targetRef"]["uid"]))
        named = sorted(port for port in ports if port is not None)
        if named:
            subset["ports"] = [_port(port) for port in named]
        subsets.append(subset)
    return sorted(
        subsets, key=lambda s: [(p.get("name", ""), p["port"]) for p in s.get("ports", ())]
    )


def _port(port: _Port) -> Obj:
    name, number, protocol, app = port
    entry: Obj = {"name": name} if name else {}
    entry |= {"port": number, "protocol": protocol}
    return {**entry, "appProtocol": app} if app else entry


def _address(service: Obj, pod: Obj) -> Obj | None:
    spec = meta.spec(service)
    found = addresses_of(pod)
    if spec.get("ipFamilies"):
        family = spec["ipFamilies"][0]
    elif not is_headless(service):
        family = address_type(spec["clusterIP"])
    else:
        family = address_type(found[0])
    ip = next((ip for ip in found if address_type(ip) == family), None)
    if ip is None:
        return None
    address: Obj = {"ip": ip, "targetRef": target_reference(pod)}
    if meta.spec(pod).get("nodeName"):
        address["nodeName"] = meta.spec(pod)["nodeName"]
    if shows_hostname(pod, service):
        address["hostname"] = meta.spec(pod)["hostname"]
    return address


def truncated(subsets: Sequence[Obj]) -> tuple[list[Obj], bool]:
    """At most `MAX_ADDRESSES` addresses, each subset losing its share; whether any were left out."""
    ready = sum(len(subset.get("addresses") or ()) for subset in subsets)
    not_ready = sum(len(subset.get("notReadyAddresses") or ()) for subset in subsets)
    if ready + not_ready <= MAX_ADDRESSES:
        return list(subsets), False
    is_ready_cut = ready > MAX_ADDRESSES
    field = "addresses" if is_ready_cut else "notReadyAddresses"
    room = MAX_ADDRESSES if is_ready_cut else MAX_ADDRESSES - ready
    total = ready if is_ready_cut else not_ready
    left, kept = room, []
    for subset in subsets:
        addresses: list[Any] = subset.get(field) or []
        share = min(left, math.ceil(len(addresses) / total * room))
        cut = {k: v for k, v in subset.items() if k != field}
        if is_ready_cut:
            cut.pop("notReadyAddresses", None)
        if share:
            cut[field] = addresses[:share]
        left -= min(share, len(addresses))
        kept.append(cut)
    return kept, True


def labels_of(service: Obj) -> dict[str, str]:
    """The labels of the Service's Endpoints."""
    labels = {k: v for k, v in meta.labels(service).items() if k != HEADLESS}
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, MANAGED_BY: CONTROLLER}
