"""NodeAffinity: nodeSelector and required terms filter, preferred terms score."""

from collections.abc import Sequence

from controlplane.api.meta import View
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.affinity import (
    affinity_of,
    named_nodes,
    required_matches,
    term_matches,
)
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import to_hundred
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, node_info
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
OUTSIDE = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _matches_now(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the node is one the pod asks for, and was none before."""
    if new is None or not required_matches(pod.spec, node_info(new)):
        return False
    return old is None or not required_matches(pod.spec, node_info(old))


class NodeAffinity:
    """Filter and score on the labels of nodes."""

    name = "NodeAffinity"
    is_local = True

    def __init__(self, args: View) -> None:
        """NodeAffinityArgs: `addedAffinity` holds for every pod of the profile, beside its own."""
        added = args.get("addedAffinity") or {}
        self._added = {"affinity": {"nodeAffinity": added}}
        hint = None if added else _matches_now
        self.events = (
            cluster.Wake(cluster.NODE_ADDED, hint),
            cluster.Wake(cluster.NODE_LABELS, hint),
        )

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Pods that name their node (a DaemonSet's do) need no look at the others."""
        names = named_nodes(pod.spec)
        if names is not None:
            state.restrict_to(names, unresolvable(OUTSIDE))
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes outside the selector."""
        if not required_matches(self._added, node):
            return unresolvable(REASON_ENFORCED)
        return SUCCESS if required_matches(pod.spec, node) else unresolvable(REASON)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Sum of the weights of the preferred terms that match."""
        preferred = [
            *(affinity_of(self._added).get(PREFERRED) or ()),
            *(affinity_of(pod.spec).get(PREFERRED) or ()),
        ]
        return sum(
            int(entry.get("weight") or 0)
            for entry in preferred
            if term_matches(entry.get("preference") or {}, node)
        )

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """The best match becomes 100."""
        return to_hundred(scores)
