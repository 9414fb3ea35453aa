"""PodTopologySpread: keep the counts of matching pods in the domains of a topology key within maxSkew.

Constraints with DoNotSchedule filter, those with ScheduleAnyway score. A pod that states none is spread softly over
hosts (skew 3) and zones (skew 5) among the pods of the same controller; upstream finds those pods by the selector
of the owning Service or ReplicaSet, which for controlled pods is nearly the same set and costs four more informers.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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


_PLAIN = frozenset({"topologyKey", "maxSkew", "whenUnsatisfiable"})
"""A default constraint with more than these is left to full cycles."""

K = TypeVar("K", bound=Hashable)

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


class _DefaultTally:
    """The counts of the soft default constraints, kept while nodes change. See `Tally`.

    A group is what the scores of a node depend on: its domain for each key, and for the host name, where every node is
    a domain of its own, the number of pods there.
    """

    def __init__(self, pod: PodInfo, constraints: Sequence[Constraint]) -> None:
        self._pod = pod
        self._owner = pod.controller_uid
        self._constraints = constraints
        self._nodes: dict[str, list[tuple[str, int] | None]] = {}
        self._members: list[Counter[str]] = [Counter() for _ in constraints]
        self.is_exact = True

    def count(self, node: NodeInfo) -> Hashable:
        """See `Tally`."""
        for members, constraint, old in zip(
            self._members, self._constraints, self._nodes.get(node.name, ()), strict=False
        ):
            if old is not None:
                left, pods = old
                members[left] -= 1
                constraint.counts[left] -= pods
                if not members[left]:
                    del members[left], constraint.counts[left]
        pods = node.controlled.get(self._owner, 0)
        is_counted = required_matches(self._pod.spec, node)
        rows: list[tuple[str, int] | None] = []
        group: list[Hashable] = []
        for members, constraint in zip(self._members, self._constraints, strict=True):
            domain = node.labels.get(constraint.key)
            if domain is None or not is_counted:
                rows.append(None)
            else:
                rows.append((domain, pods))
                members[domain] += 1
                constraint.counts[domain] = constraint.counts.get(domain, 0) + pods
            if constraint.key == HOSTNAME and domain is not None:
                group.append(pods if is_counted else 0)
                self.is_exact = self.is_exact and members[domain] <= 1
            else:
                group.append(domain)
        self._nodes[node.name] = rows
        return tuple(group)

    def score(self, group: Hashable) -> int:
        """See `Tally`."""
        assert isinstance(group, tuple)
        total = 0.0
        for constraint, domain in zip(self._constraints, group, strict=True):
            if domain is None or not constraint.counts:
                continue
            is_host = constraint.key == HOSTNAME
            total += _part(constraint, domain if is_host else constraint.counts.get(domain, 0))
        return round(total * 100)


def _part(constraint: Constraint, pods: int) -> float:
    """What one constraint adds for a domain with so many matching pods."""
    # The more domains there are, the more a single pod says; skew damps small counts.
    return pods * math.log(len(constraint.counts) + 2) + constraint.max_skew - 1


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
                total += _part(constraint, constraint.counts.get(domain, 0))
        return round(total * 100)

    def tally(self, pod: PodInfo) -> _DefaultTally | None:
        """See `DomainPlugin`: for pods that state nothing."""
        found = _defaults_for(pod, self._defaults, "ScheduleAnyway")
        if not found or _defaults_for(pod, self._defaults, "DoNotSchedule"):
            return None
        if any(raw.keys() - _PLAIN for raw, _ in found):
            return None
        return _DefaultTally(pod, [constraint for _, constraint in found])

    def normalize(self, scores: dict[K, int]) -> dict[K, int]:
        """Fewer matching pods are better."""
        highest, lowest = max(scores.values(), default=0), min(scores.values(), default=0)
        if highest == 0:
            return dict.fromkeys(scores, MAX_SCORE)
        return {n: MAX_SCORE * (highest + lowest - value) // highest for n, value in scores.items()}
