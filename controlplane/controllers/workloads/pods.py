"""What controllers ask of a Pod and of lists of Pods: pure.

The order of deletion is upstream's: not bound before bound, Pending before Unknown before Running, not ready before
ready, lower deletion cost, more Pods of the same owner on the node, shorter ready, more restarts, younger. Ages count
by powers of two, so that Pods of about the same age are chosen among by uid, not always the youngest.
"""

import math
from collections import Counter
from collections.abc import Sequence

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none
from controlplane.kinds.core.pod.views import is_ended

_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Obj) -> bool:
    """Whether the Pod counts: neither ended nor being deleted."""
    return not is_ended(pod) and not meta.is_deleting(pod)


def ready_since(pod: Obj) -> float | None:
    """Unix seconds since when the Pod is ready; None when it is not."""
    ready = conditions.get(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    return parse_or_none(ready.get("lastTransitionTime")) or 0.0


def is_available(pod: Obj, min_ready_seconds: int, now: float) -> bool:
    """Whether the Pod has been ready for long enough."""
    since = ready_since(pod)
    return since is not None and (min_ready_seconds == 0 or since + min_ready_seconds <= now)


def next_available_seconds(pods: Sequence[Obj], min_ready_seconds: int, now: float) -> float | None:
    """When the next ready Pod becomes available by time alone; None when none will."""
    if not min_ready_seconds:
        return None
    waits = [
        since + min_ready_seconds - now for pod in pods if (since := ready_since(pod)) is not None
    ]
    waiting = [wait for wait in waits if wait > 0]
    return min(waiting) + 0.05 if waiting else None


def pod_of(template: Obj, owner: Obj, *, name: str = "") -> Obj:
    """A Pod by a template, controlled by `owner`; named after the owner if `name` is empty."""
    made = meta.copy_of(template)
    source = made.get("metadata") or {}
    metadata: Obj = {"namespace": meta.namespace(owner)}
    if name:
        metadata["name"] = name
    else:
        # The server cuts longer ones too, but its answer would not say where.
        metadata["generateName"] = f"{meta.name(owner)[:57]}-"
    for copied in ("labels", "annotations", "finalizers"):
        if source.get(copied):
            metadata[copied] = source[copied]
    metadata["ownerReferences"] = [meta.controller_reference(owner)]
    spec = made.get("spec") or {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def in_order_of_deletion(pods: Sequence[Obj], related: Sequence[Obj], now: float) -> list[Obj]:
    """The Pods, whom to delete first in front; `related` are those of the same rollout, for spreading over nodes."""
    on_node = Counter(meta.spec(pod).get("nodeName") or "" for pod in related)
    return sorted(pods, key=lambda pod: _rank(pod, on_node, now))


def _rank(pod: Obj, on_node: Counter[str], now: float) -> tuple[float | str, ...]:
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
