"""Which Endpoints are mirrored, and the slices for them: pure."""

from collections.abc import Sequence
from functools import partial

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.services import TRIGGER_TIME, address_type
from controlplane.controllers.workloads.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SlicePlan,
    lay_out,
    ports_key,
)

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_COPIED = frozenset({TRIGGER_TIME, _LAST_APPLIED})


def is_mirrored(endpoints: Obj | None, service: Obj | None) -> bool:
    """Whether the Endpoints were written for a Service without selector, and nothing forbids mirroring."""
    if endpoints is None or service is None or meta.spec(service).get("selector") is not None:
        return False
    if meta.labels(endpoints).get(SKIP) == "true":
        return False
    return _LEADER not in meta.annotations(endpoints)


def plan_mirror(
    endpoints: Obj, existing: Sequence[Obj], per_subset: int, limit: int
) -> tuple[SlicePlan, int]:
    """What to write, and how many addresses were left out for being more than `per_subset` in a subset."""
    desired: dict[tuple[str, frozenset[tuple[str, str, int, str]]], tuple[list[Obj], list[Obj]]]
    desired = {}
    skipped = 0
    for subset in endpoints.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        added = 0
        for field, is_ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                if added >= per_subset:
                    skipped += 1
                    continue
                added += 1
                family = address_type(address["ip"])
                _, found = desired.setdefault((family, ports_key(ports)), (ports, []))
                found.append(_endpoint(address, is_ready=is_ready))
    plan = SlicePlan()
    by_key: dict[object, list[Obj]] = {}
    for slice_ in existing:
        key = (slice_.get("addressType"), ports_key(slice_.get("ports")))
        by_key.setdefault(key, []).append(slice_)
    relabel = partial(_relabelled, endpoints=endpoints)
    for (family, key_ports), (ports, found) in desired.items():
        new = partial(_new_slice, endpoints, family, ports)
        ours = by_key.pop((family, key_ports), [])
        plan += lay_out(ours, found, relabel, new, limit)
    stale = tuple(slice_ for slices in by_key.values() for slice_ in slices)
    return plan + SlicePlan(delete=stale), skipped


def _endpoint(address: Obj, *, is_ready: bool) -> Obj:
    endpoint: Obj = {"addresses": [address["ip"]], "conditions": {"ready": is_ready}}
    for field in ("targetRef", "nodeName", "hostname"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _port(port: Obj) -> Obj:
    entry: Obj = {
        "name": port.get("name") or "",
        "port": port["port"],
        "protocol": port.get("protocol") or "TCP",
    }
    if port.get("appProtocol"):
        entry["appProtocol"] = port["appProtocol"]
    return entry


def _labels(endpoints: Obj) -> dict[str, str]:
    return {
        **meta.labels(endpoints),
        SERVICE_NAME: meta.name(endpoints),
        MANAGED_BY: CONTROLLER,
    }


def _annotations(endpoints: Obj) -> dict[str, str]:
    return {k: v for k, v in meta.annotations(endpoints).items() if k not in _NOT_COPIED}


def _relabelled(slice_: Obj, *, endpoints: Obj) -> Obj:
    wanted = (_labels(endpoints), _annotations(endpoints))
    if (meta.labels(slice_), meta.annotations(slice_)) == wanted:
        return slice_
    metadata = {**slice_["metadata"], "labels": wanted[0], "annotations": wanted[1]}
    return {**slice_, "metadata": metadata}


def _new_slice(endpoints: Obj, family: str, ports: Sequence[Obj]) -> Obj:
    reference = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "name": meta.name(endpoints),
        "uid": meta.uid(endpoints),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata: Obj = {
        "generateName": f"{meta.name(endpoints)}-",
        "namespace": meta.namespace(endpoints),
        "labels": _labels(endpoints),
        "ownerReferences": [reference],
    }
    if annotations := _annotations(endpoints):
        metadata["annotations"] = annotations
    return {"metadata": metadata, "addressType": family, "ports": list(ports)}
