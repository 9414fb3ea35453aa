"""How many Pods to make, which to delete first, and the status: pure.

The order of deletion is upstream's: not bound before bound, Pending before Unknown before Running, not ready before
ready, lower deletion cost, more Pods of the same owner on the node, shorter ready, more restarts, younger. Ages count
by powers of two, so that Pods of about the same age are chosen among by uid, not always the youngest.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none, to_rfc3339

BURST = 500  # upstream's burstReplicas: at most so many Pods made or deleted in one go

_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class Scale:
    """What to do now: make so many, or delete these."""

    create: int = 0
    delete: tuple[Obj, ...] = ()


def is_active(pod: Obj) -> bool:
    """Whether the Pod counts: neither ended nor being deleted."""
    phase = meta.status(pod).get("phase")
    return phase not in ("Succeeded", "Failed") and not meta.is_deleting(pod)


def ready_since(pod: Obj) -> float | None:
    """Unix seconds since when the Pod is ready; None when it is not."""
    for condition in meta.status(pod).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            return parse_or_none(condition.get("lastTransitionTime")) or 0.0
    return None


def is_available(pod: Obj, min_ready_seconds: int, now: float) -> bool:
    """Whether the Pod has been ready for long enough."""
    since = ready_since(pod)
    return since is not None and (min_ready_seconds == 0 or since + min_ready_seconds <= now)


def plan_scale(replicas: int, pods: Sequence[Obj], related: Sequence[Obj], now: float) -> Scale:
    """Bring the active `pods` to `replicas`; `related` are active Pods of the same rollout, for spreading."""
    surplus = len(pods) - replicas
    if surplus < 0:
        return Scale(create=min(-surplus, BURST))
    if surplus == 0:
        return Scale()
    on_node = Counter(meta.spec(pod).get("nodeName") or "" for pod in related)
    ranked = sorted(pods, key=lambda pod: _deletion_rank(pod, on_node, now))
    return Scale(delete=tuple(ranked[: min(surplus, BURST)]))


def _deletion_rank(pod: Obj, on_node: Counter[str], now: float) -> tuple[float | str, ...]:
    node = meta.spec(pod).get("nodeName") or ""
    ready = ready_since(pod)
    restarts = max(
        (int(c.get("restartCount") or 0) for c in meta.status(pod).get("containerStatuses") or ()),
        default=0,
    )
    return (
        1 if node else 0,
        _PHASES.get(meta.status(pod).get("phase", "Pending"), 0),
        0 if ready is None else 1,
        _deletion_cost(pod),
        -on_node[node] if node else 0,
        _age_bucket(ready, now),
        -restarts,
        _age_bucket((parse_or_none(meta.creation_timestamp(pod)) or 0.0), now),
        meta.uid(pod),
    )


def _deletion_cost(pod: Obj) -> int:
    try:
        return int(meta.annotations(pod).get(_DELETION_COST, "0"))
    except ValueError:
        return 0


def _age_bucket(since: float | None, now: float) -> float:
    age = now - since if since else 0.0
    return math.floor(math.log2(age)) if age > 0 else -1000


def plan_status(
    replicaset: Obj, pods: Sequence[Obj], now: float, failure: tuple[str, str] | None
) -> Obj:
    """The status for these active pods; `failure` is (reason, message) of the last attempt to scale."""
    spec = meta.spec(replicaset)
    minimum = int(spec.get("minReadySeconds") or 0)
    labels = meta.labels(spec.get("template") or {})
    status: Obj = {"replicas": len(pods), "observedGeneration": meta.generation(replicaset)}
    counts = {
        "fullyLabeledReplicas": sum(
            all(meta.labels(pod).get(key) == value for key, value in labels.items()) for pod in pods
        ),
        "readyReplicas": sum(ready_since(pod) is not None for pod in pods),
        "availableReplicas": sum(is_available(pod, minimum, now) for pod in pods),
    }
    status.update({name: count for name, count in counts.items() if count})
    old = meta.status(replicaset).get("conditions") or []
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


def next_look_seconds(replicaset: Obj, pods: Sequence[Obj], now: float) -> float | None:
    """When the next ready Pod becomes available by time alone."""
    minimum = int(meta.spec(replicaset).get("minReadySeconds") or 0)
    if not minimum:
        return None
    waits = [since + minimum - now for pod in pods if (since := ready_since(pod)) is not None]
    waiting = [wait for wait in waits if wait > 0]
    return min(waiting) + 0.05 if waiting else None


def new_pod(replicaset: Obj) -> Obj:
    """A Pod by the template."""
    template = meta.copy_of(meta.spec(replicaset).get("template") or {})
    source = template.get("metadata") or {}
    metadata: Obj = {
        "generateName": f"{meta.name(replicaset)[:57]}-",
        "namespace": meta.namespace(replicaset),
        "labels": source.get("labels") or {},
        "ownerReferences": [meta.controller_reference(replicaset)],
    }
    for copied in ("annotations", "finalizers"):
        if source.get(copied):
            metadata[copied] = source[copied]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }
