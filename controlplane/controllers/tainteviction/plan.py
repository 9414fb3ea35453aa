"""When a Pod must leave its node because of the node's NoExecute taints: pure."""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.tolerations import tolerates

# Pods that say nothing of these two are given upstream's default.
_DEFAULTED = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


@dataclass(frozen=True, slots=True)
class Eviction:
    """Whether a Pod must leave its node, and after how many seconds."""

    after_seconds: float | None  # None: it may stay


def plan_eviction(pod: Obj, node: Obj, default_toleration_seconds: float) -> Eviction:
    """By the node's NoExecute taints and the Pod's tolerations."""
    taints = [t for t in meta.spec(node).get("taints") or () if t["effect"] == "NoExecute"]
    tolerations = meta.spec(pod).get("tolerations") or ()
    limits: list[float] = []
    for taint in taints:
        matching = [t for t in tolerations if tolerates(t, taint)]
        if not matching:
            if taint["key"] not in _DEFAULTED:
                return Eviction(0.0)
            limits.append(default_toleration_seconds)
        seconds = [
            t["tolerationSeconds"] for t in matching if t.get("tolerationSeconds") is not None
        ]
        limits.extend(max(0.0, float(value)) for value in seconds)
    return Eviction(min(limits) if limits else None)
