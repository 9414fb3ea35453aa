"""Which Pods to force away, and why: pure.

As upstream: ended Pods above a threshold (oldest first), Pods bound to a node that no longer exists, Pods being deleted
that were never bound, and Pods being deleted on a node tainted out-of-service.

Unlike upstream: a Pod being deleted on a node that does not answer is also forced away, once its grace period has been
over for `unreachable_seconds` (0 switches this off). Upstream waits for the node for ever, since its containers may
still run; here nodes are disposable and a list that never clears hides what matters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none
from controlplane.kinds.core.pod.views import is_ended

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@dataclass(frozen=True, slots=True)
class Removal:
    """A Pod to force away; `orphan` ones need the server's word that the node is gone."""

    pod: Obj
    why: str
    orphan: bool = False


def plan_removals(
    pods: Sequence[Obj],
    nodes: Mapping[str, Obj],
    now: float,
    *,
    terminated_threshold: int,
    unreachable_seconds: float,
) -> list[Removal]:
    """All removals due now."""
    removals: list[Removal] = []
    ended: list[Obj] = []
    for pod in pods:
        name = meta.spec(pod).get("nodeName") or ""
        node = nodes.get(name)
        deleting = meta.is_deleting(pod)
        if name and node is None:
            removals.append(Removal(pod, "its node is gone", orphan=True))
        elif deleting and not name:
            removals.append(Removal(pod, "it was deleted before it was bound"))
        elif deleting and node is not None and _forced(pod, node, now, unreachable_seconds):
            removals.append(Removal(pod, "its node does not answer"))
        elif is_ended(pod) and not deleting:
            ended.append(pod)
    surplus = len(ended) - terminated_threshold
    if terminated_threshold > 0 and surplus > 0:
        ended.sort(key=lambda pod: (meta.creation_timestamp(pod), meta.name(pod)))
        removals.extend(Removal(pod, "too many ended Pods") for pod in ended[:surplus])
    return removals


def _forced(pod: Obj, node: Obj, now: float, unreachable_seconds: float) -> bool:
    if conditions.status_of(node, "Ready") == "True":
        return False
    if any(taint["key"] == OUT_OF_SERVICE for taint in meta.spec(node).get("taints") or ()):
        return True
    if unreachable_seconds <= 0 or conditions.status_of(node, "Ready") != "Unknown":
        return False
    return (parse_or_none(meta.deletion_timestamp(pod)) or 0.0) + unreachable_seconds <= now
