"""What quotas count of Services. Source: pkg/quota/v1/evaluator/core/services.go."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.quota.amounts import ONE, ZERO, Amounts, whole
from controlplane.kinds.core.quota.evaluator import Evaluator, count_name, new_or_changed

_OBJECTS = count_name("services")
_NAMES = (_OBJECTS, "services", "services.nodeports", "services.loadbalancers")


def _usage(service: Obj, now: float) -> Amounts:
    spec = meta.spec(service)
    kind, ports = spec.get("type"), spec.get("ports") or ()
    node_ports = 0
    # The ports that are wanted, since they are given only afterwards.
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        node_ports = sum(1 for port in ports if port.get("nodePort"))
    elif kind in ("NodePort", "LoadBalancer"):
        node_ports = len(ports)
    return {
        _OBJECTS: ONE,
        "services": ONE,
        "services.nodeports": whole(node_ports),
        "services.loadbalancers": ONE if kind == "LoadBalancer" else ZERO,
    }


def _exposed(service: Obj) -> str:
    kind = str(meta.spec(service).get("type") or "")
    return kind if kind in ("NodePort", "LoadBalancer") else ""


EVALUATOR = Evaluator(
    counts=lambda name: name in _NAMES,
    usage=_usage,
    handles=new_or_changed,
    frees_on_update=lambda old, new, now: _exposed(old) != _exposed(new),
)
