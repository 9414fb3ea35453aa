"""NodeAffinity: nodeSelector and required terms filter, preferred terms score."""

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import ClusterEvent, to_hundred
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) didn't match Pod's node affinity/selector"


def required_matches(spec: Mapping[str, Any], node: NodeInfo) -> bool:
    """Whether the node meets nodeSelector and the required terms (terms are alternatives)."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        if node.labels.get(key) != value:
            return False
    required = _affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def term_matches(term: Mapping[str, Any], node: NodeInfo) -> bool:
    """Whether all expressions of a term hold; an empty term matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(item, node.labels) for item in expressions) and all(
        _holds(item, {"metadata.name": node.name}) for item in fields
    )


def _holds(expression: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    key, operator = expression.get("key", ""), expression.get("operator")
    listed: Iterable[str] = expression.get("values") or ()
    present = key in values
    if operator == "In":
        return present and values[key] in listed
    if operator == "NotIn":
        return not present or values[key] not in listed
    if operator == "Exists":
        return present
    if operator == "DoesNotExist":
        return not present
    if operator in ("Gt", "Lt") and present:
        try:
            have, limit = int(values[key]), int(next(iter(listed)))
        except (ValueError, StopIteration):
            return False
        return have > limit if operator == "Gt" else have < limit
    return False


def _affinity(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    affinity: Mapping[str, Any] = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


class NodeAffinity:
    """Filter and score on the labels of nodes."""

    name = "NodeAffinity"
    events = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS})

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes outside the selector."""
        return SUCCESS if required_matches(pod.spec, node) else unresolvable(REASON)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Sum of the weights of the preferred terms that match."""
        preferred = _affinity(pod.spec).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return sum(
            int(entry.get("weight") or 0)
            for entry in preferred
            if term_matches(entry.get("preference") or {}, node)
        )

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """The best match becomes 100."""
        return to_hundred(scores)
