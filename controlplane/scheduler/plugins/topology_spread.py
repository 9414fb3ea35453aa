"""PodTopologySpread: keep the counts of matching pods in the domains of a topology key within maxSkew.

Constraints with DoNotSchedule filter, those with ScheduleAnyway score. A pod that states none is spread softly over
hosts (skew 3) and zones (skew 5) among the pods of the same controller; upstream finds those pods by the selector
of the owning Service or ReplicaSet, which for controlled pods is nearly the same set and costs four more informers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.selectors import LabelSelector
from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.affinity import required_matches
from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.interface import MAX_SCORE
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import (
    SKIP,
    SUCCESS,
    Status,
    unresolvable,
    unschedulable,
)

REASON = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = f"{REASON} (missing required label)"
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
SYSTEM_DEFAULTS: tuple[Mapping[str, Any], ...] = (
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
)


@dataclass(slots=True)
class Constraint:
    """One constraint with the counts of matching pods by domain."""

    key: str
    max_skew: int
    min_domains: int
    matches: Callable[[PodInfo], bool]
    self_match: int
    counts: dict[str, int] = field(default_factory=dict)

    def fewest(self) -> int:
        """The global minimum that skew is measured from; too few domains count as an empty one."""
        if len(self.counts) < self.min_domains:
            return 0
        return min(self.counts.values(), default=0)


_HARD: StateKey[list[Constraint]] = StateKey("PodTopologySpread/filter")
_SOFT: StateKey[list[Constraint]] = StateKey("PodTopologySpread/score")


def _constraints(pod: PodInfo, action: str) -> list[tuple[Mapping[str, Any], Constraint]]:
    found = []
    for raw in pod.spec.get("topologySpreadConstraints") or ():
        if raw.get("whenUnsatisfiable", "DoNotSchedule") != action:
            continue
        matches = _label_match(pod, raw)
        found.append(
            (
                raw,
                Constraint(
                    key=str(raw.get("topologyKey", "")),
                    max_skew=int(raw.get("maxSkew") or 1),
                    min_domains=int(raw.get("minDomains") or 1),
                    matches=matches,
                    self_match=int(matches(pod)),
                ),
            )
        )
    return found


def _label_match(pod: PodInfo, raw: Mapping[str, Any]) -> Callable[[PodInfo], bool]:
    selector = LabelSelector.from_object(raw.get("labelSelector"))
    pinned = {key: pod.labels.get(key) for key in raw.get("matchLabelKeys") or ()}
    namespace = pod.namespace

    def matches(other: PodInfo) -> bool:
        labels = other.labels
        return (
            other.namespace == namespace
            and not other.terminating
            and selector.matches(labels)
            and all(labels.get(key) == value for key, value in pinned.items() if value is not None)
        )

    return matches


def _defaults_for(
    pod: PodInfo, defaults: Sequence[Mapping[str, Any]], action: str
) -> list[tuple[Mapping[str, Any], Constraint]]:
    """The profile's constraints, among the pods of the same controller, for a pod that states none."""
    owner = pod.controller_uid
    if not owner or pod.spec.get("topologySpreadConstraints"):
        return []

    def matches(other: PodInfo) -> bool:
        return other.controller_uid == owner and not other.terminating

    return [
        (
            raw,
            Constraint(str(raw["topologyKey"]), int(raw.get("maxSkew") or 1), 1, matches, 1),
        )
        for raw in defaults
        if raw.get("whenUnsatisfiable", "ScheduleAnyway") == action
    ]


def _counts_node(raw: Mapping[str, Any], pod: PodInfo, node: NodeInfo) -> bool:
    """Whether a node's pods count, by the constraint's two policies."""
    if raw.get("nodeAffinityPolicy", "Honor") == "Honor" and not required_matches(pod.spec, node):
        return False
    if raw.get("nodeTaintsPolicy", "Ignore") == "Honor":
        hard = [taint for taint in node.taints if taint.get("effect") != "PreferNoSchedule"]
        return all(tolerated(taint, pod.spec.get("tolerations")) for taint in hard)
    return True


def _count(
    found: list[tuple[Mapping[str, Any], Constraint]], pod: PodInfo, nodes: Sequence[NodeInfo]
) -> list[Constraint]:
    keys = [constraint.key for _, constraint in found]
    for node in nodes:
        if not all(key in node.labels for key in keys):
            continue  # A node outside one topology takes part in none, as the pod cannot go there.
        for raw, constraint in found:
            if not _counts_node(raw, pod, node):
                continue
            domain = node.labels[constraint.key]
            matching = sum(1 for other in node.pods.values() if constraint.matches(other))
            constraint.counts[domain] = constraint.counts.get(domain, 0) + matching
    return [constraint for _, constraint in found]


class PodTopologySpread:
    """Filter and score on even spreading."""

    name = "PodTopologySpread"
    events = cluster.on(
        cluster.NODE_ADDED,
        cluster.NODE_LABELS,
        cluster.NODE_TAINTS,
        cluster.POD_ADDED,
        cluster.POD_REMOVED,
        cluster.POD_CHANGED,
    )

    def __init__(self, args: Mapping[str, Any]) -> None:
        """PodTopologySpreadArgs: `defaultingType` System (upstream's two), or List with `defaultConstraints`."""
        listed = args.get("defaultConstraints") or ()
        kind = args.get("defaultingType") or ("List" if listed else "System")
        if kind not in ("System", "List"):
            raise ValueError(f"defaultingType: {kind!r} is neither System nor List")
        if kind == "System" and listed:
            raise ValueError("defaultConstraints: only with defaultingType List")
        self._defaults = SYSTEM_DEFAULTS if kind == "System" else tuple(listed)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Count the matching pods of every domain."""
        # The scores compare with all nodes, feasible or not, so their counts are made here too.
        stated = _constraints(pod, "ScheduleAnyway")
        soft = stated or _defaults_for(pod, self._defaults, "ScheduleAnyway")
        if stated and all(constraint.key not in (HOSTNAME, ZONE) for _, constraint in soft):
            state.put(_SOFT, _count(soft, pod, nodes))
        else:
            # Default spreading does not ask for a zone label on every node.
            state.put(_SOFT, [c for entry in soft for c in _count([entry], pod, nodes)])
        found = _constraints(pod, "DoNotSchedule")
        found = found or _defaults_for(pod, self._defaults, "DoNotSchedule")
        if not found:
            return SKIP
        state.put(_HARD, _count(found, pod, nodes))
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a node whose domain would be too far ahead of the emptiest."""
        for constraint in state.get(_HARD):
            domain = node.labels.get(constraint.key)
            if domain is None:
                return unresolvable(REASON_LABEL)
            after = constraint.counts.get(domain, 0) + constraint.self_match
            if after - constraint.fewest() > constraint.max_skew:
                return unschedulable(REASON)
        return SUCCESS

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Nothing to rank without soft constraints."""
        return SUCCESS if any(c.counts for c in state.get(_SOFT)) else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Weighted count of matching pods in the node's domains, in hundredths."""
        total = 0.0
        for constraint in state.get(_SOFT):
            domain = node.labels.get(constraint.key)
            if domain is not None and constraint.counts:
                # The more domains there are, the more a single pod says; skew damps small counts.
                weight = math.log(len(constraint.counts) + 2)
                total += constraint.counts.get(domain, 0) * weight + constraint.max_skew - 1
        return round(total * 100)

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Fewer matching pods are better."""
        highest, lowest = max(scores.values(), default=0), min(scores.values(), default=0)
        if highest == 0:
            return dict.fromkeys(scores, MAX_SCORE)
        return {n: MAX_SCORE * (highest + lowest - value) // highest for n, value in scores.items()}
