"""How many Pods to make, which to delete, and the status: pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.times import to_rfc3339
from controlplane.controllers.workloads.pods import (
    in_order_of_deletion,
    is_available,
    ready_since,
)

BURST = 500  # upstream's burstReplicas: at most so many Pods made or deleted in one go


@dataclass(frozen=True, slots=True)
class Scale:
    """What to do now: make so many, or delete these."""

    create: int = 0
    delete: tuple[Obj, ...] = ()


def plan_scale(replicas: int, pods: Sequence[Obj], related: Sequence[Obj], now: float) -> Scale:
    """Bring the active `pods` to `replicas`; `related` are active Pods of the same rollout, for spreading."""
    surplus = len(pods) - replicas
    if surplus < 0:
        return Scale(create=min(-surplus, BURST))
    if surplus == 0:
        return Scale()
    return Scale(delete=tuple(in_order_of_deletion(pods, related, now)[: min(surplus, BURST)]))


def plan_status(
    owner: Obj, pods: Sequence[Obj], now: float, failure: tuple[str, str] | None
) -> Obj:
    """The status for these active pods; `failure` is (reason, message) of the last attempt to scale."""
    spec = meta.spec(owner)
    minimum = int(spec.get("minReadySeconds") or 0)
    labels = meta.labels(spec.get("template") or {})
    status: Obj = {"replicas": len(pods), "observedGeneration": meta.generation(owner)}
    counts = {
        "fullyLabeledReplicas": sum(
            all(meta.labels(pod).get(key) == value for key, value in labels.items()) for pod in pods
        ),
        "readyReplicas": sum(ready_since(pod) is not None for pod in pods),
        "availableReplicas": sum(is_available(pod, minimum, now) for pod in pods),
    }
    status.update({name: count for name, count in counts.items() if count})
    old = meta.status(owner).get("conditions") or []
    kept = [condition for condition in old if condition["type"] != "ReplicaFailure"]
    if failure is not None:
        before = next((c for c in old if c["type"] == "ReplicaFailure"), None)
        kept.append(
            before
            if before is not None and before.get("reason") == failure[0]
            else {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": failure[0],
                "message": failure[1],
                "lastTransitionTime": to_rfc3339(now),
            }
        )
    if kept:
        status["conditions"] = kept
    return status
