"""The endpoints of a Service, the slices that hold them, and the hints where traffic should stay: pure."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

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
    with_trigger_time,
)
from controlplane.controllers.workloads.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SlicePlan,
    lay_out,
    ports_key,
)

CONTROLLER = "endpointslice-controller.k8s.io"
_RESERVED = frozenset({SERVICE_NAME, MANAGED_BY, HEADLESS})
_ZONE = "topology.kubernetes.io/zone"
_HINTED = ("PreferClose", "PreferSameZone", "PreferSameNode")

NodeOf = Callable[[str], Obj | None]


def plan_slices(
    service: Obj,
    pods: Sequence[Obj],
    existing: Sequence[Obj],
    node_of: NodeOf,
    trigger_time: str,
    limit: int,
) -> tuple[SlicePlan, list[str]]:
    """What to write for a Service; and the names of Pods left out because their node is not known yet."""
    families = _address_types(service)
    plan = SlicePlan(delete=tuple(s for s in existing if s.get("addressType") not in families))
    unknown: dict[str, None] = {}
    for family in families:
        ours = [slice_ for slice_ in existing if slice_.get("addressType") == family]
        found, missing = _plan_family(service, pods, ours, node_of, family, limit)
        plan += found
        unknown |= dict.fromkeys(missing)
    stamped = [_stamped(slice_, trigger_time) for slice_ in plan.create]
    changed = [_stamped(slice_, trigger_time) for slice_ in plan.update]
    return SlicePlan(tuple(stamped), tuple(changed), plan.delete), list(unknown)


def _stamped(slice_: Obj, trigger_time: str) -> Obj:
    annotations = with_trigger_time(meta.annotations(slice_), trigger_time)
    return {**slice_, "metadata": {**slice_["metadata"], "annotations": annotations}}


def _plan_family(
    service: Obj,
    pods: Sequence[Obj],
    existing: Sequence[Obj],
    node_of: NodeOf,
    family: str,
    limit: int,
) -> tuple[SlicePlan, list[str]]:
    owned = [slice_ for slice_ in existing if _is_owned(slice_, service)]
    deleted = [slice_ for slice_ in existing if not _is_owned(slice_, service)]
    desired: dict[frozenset[tuple[str, str, int, str]], tuple[list[Obj], list[Obj]]] = {}
    unknown: list[str] = []
    for pod in pods:
        if not belongs(pod, with_terminating=True):
            continue
        ports = _ports(service, pod)
        _, endpoints = desired.setdefault(ports_key(ports), (ports, []))
        node = node_of(meta.spec(pod).get("nodeName") or "")
        if node is None and not meta.spec(service).get("publishNotReadyAddresses"):
            unknown.append(meta.name(pod))
            continue
        endpoint = endpoint_of(service, pod, node, family)
        if endpoint["addresses"]:
            endpoints.append(endpoint)
    plan = SlicePlan()
    by_ports: dict[frozenset[tuple[str, str, int, str]], list[Obj]] = {}
    for slice_ in owned:
        by_ports.setdefault(ports_key(slice_.get("ports")), []).append(slice_)
    relabel = partial(_relabelled, service=service)
    for key, (ports, endpoints) in desired.items():
        hinted = _with_hints(service, endpoints)
        new = partial(_new_slice, service, family, ports)
        plan += lay_out(by_ports.get(key, []), hinted, relabel, new, limit)
    stale = [slice_ for key, found in by_ports.items() if key not in desired for slice_ in found]
    deleted += stale
    gone = len(deleted) + len(plan.delete)
    if gone == len(existing) and not plan.create:
        # A Service always has a slice, so that others can tell "no endpoints" from "not looked at yet".
        empty = [s for s in stale if not s.get("endpoints") and not s.get("ports")]
        if empty:
            deleted = [slice_ for slice_ in deleted if slice_ is not empty[0]]
            kept = _relabelled(empty[0], service=service)
            plan += SlicePlan(update=() if kept is empty[0] else (kept,))
        else:
            plan += SlicePlan(create=({**_new_slice(service, family, []), "endpoints": []},))
    return plan + SlicePlan(delete=tuple(deleted)), unknown


def endpoint_of(service: Obj, pod: Obj, node: Obj | None, family: str) -> Obj:
    """What a slice says of a Pod."""
    is_serving = conditions.is_true(pod, "Ready")
    is_terminating = meta.is_deleting(pod)
    publishes = bool(meta.spec(service).get("publishNotReadyAddresses"))
    endpoint: Obj = {
        "addresses": [ip for ip in addresses_of(pod) if address_type(ip) == family],
        "conditions": {
            "ready": publishes or (is_serving and not is_terminating),
            "serving": is_serving,
            "terminating": is_terminating,
        },
        "targetRef": target_reference(pod),
    }
    if meta.spec(pod).get("nodeName"):
        endpoint["nodeName"] = meta.spec(pod)["nodeName"]
    zone = meta.labels(node).get(_ZONE) if node is not None else None
    if zone:
        endpoint["zone"] = zone
    if shows_hostname(pod, service):
        endpoint["hostname"] = meta.spec(pod)["hostname"]
    return endpoint


def _with_hints(service: Obj, endpoints: Sequence[Obj]) -> list[Obj]:
    """Each ready endpoint is for its own zone (and node) when the Service wants its traffic to stay near."""
    wanted = meta.spec(service).get("trafficDistribution")
    if wanted not in _HINTED:
        return list(endpoints)
    hinted = []
    for endpoint in endpoints:
        hints: Obj = {}
        if endpoint["conditions"]["ready"]:
            if endpoint.get("zone"):
                hints["forZones"] = [{"name": endpoint["zone"]}]
            if wanted == "PreferSameNode" and endpoint.get("nodeName"):
                hints["forNodes"] = [{"name": endpoint["nodeName"]}]
        hinted.append({**endpoint, "hints": hints} if hints else endpoint)
    return hinted


def _address_types(service: Obj) -> list[str]:
    spec = meta.spec(service)
    if spec.get("ipFamilies"):
        return list(dict.fromkeys(str(family) for family in spec["ipFamilies"]))
    if not is_headless(service):
        return [address_type(spec["clusterIP"])]
    return ["IPv4", "IPv6"]


def _ports(service: Obj, pod: Obj) -> list[Obj]:
    ports: list[Obj] = []
    for port in meta.spec(service).get("ports") or ():
        number = find_port(pod, port)
        if number is None:
            continue
        entry: Obj = {
            "name": port.get("name") or "",
            "port": number,
            "protocol": port.get("protocol") or "TCP",
        }
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        ports.append(entry)
    return ports


def _is_owned(slice_: Obj, service: Obj) -> bool:
    return any(ref["uid"] == meta.uid(service) for ref in meta.owner_references(slice_))


def labels_of(service: Obj) -> dict[str, str]:
    """The labels of the Service's slices."""
    labels = {k: v for k, v in meta.labels(service).items() if k not in _RESERVED}
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: meta.name(service), MANAGED_BY: CONTROLLER}


def _relabelled(slice_: Obj, *, service: Obj) -> Obj:
    wanted = labels_of(service)
    if meta.labels(slice_) == wanted:
        return slice_
    return {**slice_, "metadata": {**slice_["metadata"], "labels": wanted}}


def _new_slice(service: Obj, family: str, ports: Iterable[Obj]) -> Obj:
    reference = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": meta.name(service),
        "uid": meta.uid(service),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "generateName": f"{meta.name(service)}-",
            "namespace": meta.namespace(service),
            "labels": labels_of(service),
            "ownerReferences": [reference],
        },
        "addressType": family,
        "ports": list(ports),
    }
