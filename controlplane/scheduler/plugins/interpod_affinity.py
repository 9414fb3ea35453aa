"""InterPodAffinity: pods that want, or must not, be beside others; in the terms of both sides.

A term speaks of domains: nodes with the same value of its topology key. For each cycle the pods that terms mean are
counted by (key, value), once over all nodes; a filter then only looks up its node's labels. A pod that asks for
company which nobody gives, not even a pod elsewhere, may be the first of its kind if its own labels fit its terms.

Source: pkg/scheduler/framework/plugins/interpodaffinity.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.api import meta
from controlplane.api.meta import View
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework import pod_affinity as affinity
from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.interface import MAX_SCORE
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.pod_affinity import NamespaceLabels, Term
from controlplane.scheduler.framework.status import (
    SKIP,
    SUCCESS,
    Code,
    Status,
    unresolvable,
    unschedulable,
)

AFFINITY_REASON = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY_REASON = "node(s) didn't match pod anti-affinity rules"
EXISTING_REASON = "node(s) didn't satisfy existing pods anti-affinity rules"
_HARD_WEIGHT = 1

Domain = tuple[str, str]


@dataclass(slots=True)
class _Counts:
    """What the filters need of one cycle."""

    affinity: list[Term]
    anti_affinity: list[Term]
    # Pods that all affinity terms mean, by domain of each term; pods that one anti-affinity term means.
    wanted: Counter[Domain] = field(default_factory=Counter)
    unwanted: Counter[Domain] = field(default_factory=Counter)
    # Domains that pods already there do not share with this pod.
    forbidden: Counter[Domain] = field(default_factory=Counter)
    fits_itself: bool = False


_COUNTS: StateKey[_Counts] = StateKey("InterPodAffinity/filter")
_SCORES: StateKey[Counter[Domain]] = StateKey("InterPodAffinity/score")


class InterPodAffinity:
    """Filter and score on the company of pods."""

    name = "InterPodAffinity"
    events = cluster.on(
        cluster.NODE_ADDED,
        cluster.NODE_LABELS,
        cluster.POD_ADDED,
        cluster.POD_REMOVED,
        cluster.POD_CHANGED,
    )

    def __init__(self, handle: Handle, args: View) -> None:
        weight = args.get("hardPodAffinityWeight", _HARD_WEIGHT)
        if not isinstance(weight, int) or not 0 <= weight <= MAX_SCORE:
            raise ValueError("hardPodAffinityWeight: must be in the range [0-100]")
        self._hard_weight = weight
        self._ignores_existing = bool(args.get("ignorePreferredTermsOfExistingPods", False))
        self._namespaces = handle.cache_of(NAMESPACES)

    def _labels(self, namespace: str) -> View:
        found = self._namespaces.get(namespace)
        return {} if found is None else meta.labels(found)

    def is_indifferent(self, pod: PodInfo, with_affinity: Sequence[NodeInfo]) -> bool:
        """See `WatchfulPlugin`: without terms of its own a pod only matters to the terms of others."""
        if pod.has_pod_affinity:
            return False
        if not with_affinity:
            return True
        state = CycleState()
        status = self.pre_filter(state, pod, with_affinity)
        return status.code is Code.SKIP and (
            self.pre_score(state, pod, with_affinity).code is Code.SKIP
        )

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Count the pods that the terms of both sides mean."""
        counts = _Counts(
            affinity.required(pod, "podAffinity"), affinity.required(pod, "podAntiAffinity")
        )
        labels_of = _remembered(self._labels)
        counts.fits_itself = all(term.matches(pod, labels_of) for term in counts.affinity)
        for node in nodes:
            is_asking = counts.affinity or counts.anti_affinity
            for other in node.pods.values() if is_asking else node.affine_pods():
                _count(counts, pod, node, other, labels_of)
        if not counts.affinity and not counts.anti_affinity and not counts.forbidden:
            return SKIP
        state.put(_COUNTS, counts)
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a node without the company asked for, or with such as one side does not want."""
        counts, labels = state.get(_COUNTS), node.labels
        if not _has_company(counts, labels):
            return unresolvable(AFFINITY_REASON)
        for term in counts.anti_affinity:
            value = labels.get(term.topology_key)
            if value is not None and counts.unwanted.get((term.topology_key, value)):
                return unschedulable(ANTI_AFFINITY_REASON)
        for key, value in counts.forbidden:
            if labels.get(key) == value:
                return unschedulable(EXISTING_REASON)
        return SUCCESS

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Weigh the domains by what both sides prefer."""
        mine = [(term, 1) for term in affinity.preferred(pod, "podAffinity")]
        mine += [(term, -1) for term in affinity.preferred(pod, "podAntiAffinity")]
        scores: Counter[Domain] = Counter()
        labels_of = _remembered(self._labels)
        for node in self._all_nodes(state, nodes):
            labels = node.labels
            for other in node.pods.values() if mine else node.affine_pods():
                for term, sign in mine:
                    if term.matches(other, labels_of):
                        _weigh(scores, term, labels, sign * term.weight)
                if other.has_pod_affinity:
                    for term, weight in self._theirs(other):
                        if term.matches(pod, labels_of):
                            _weigh(scores, term, labels, weight)
        if not scores:
            return SKIP
        state.put(_SCORES, scores)
        return SUCCESS

    def _all_nodes(self, state: CycleState, nodes: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
        """Domains reach beyond the nodes that are feasible."""
        return state.nodes or nodes

    def _theirs(self, other: PodInfo) -> list[tuple[Term, int]]:
        found = []
        if self._hard_weight:
            found += [(t, self._hard_weight) for t in affinity.required(other, "podAffinity")]
        if not self._ignores_existing:
            found += [(t, t.weight) for t in affinity.preferred(other, "podAffinity")]
            found += [(t, -t.weight) for t in affinity.preferred(other, "podAntiAffinity")]
        return found

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """The sum of the weights of the node's domains."""
        labels = node.labels
        return sum(
            weight
            for (key, value), weight in state.get(_SCORES).items()
            if labels.get(key) == value
        )

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """The lowest sum is 0, the highest 100."""
        lowest, highest = min(scores.values(), default=0), max(scores.values(), default=0)
        spread = highest - lowest
        if not spread:
            return dict.fromkeys(scores, 0)
        return {name: MAX_SCORE * (value - lowest) // spread for name, value in scores.items()}


def _remembered(labels_of: NamespaceLabels) -> NamespaceLabels:
    known: dict[str, View] = {}

    def labels(namespace: str) -> View:
        if namespace not in known:
            known[namespace] = labels_of(namespace)
        return known[namespace]

    return labels


def _count(
    counts: _Counts, pod: PodInfo, node: NodeInfo, other: PodInfo, labels_of: NamespaceLabels
) -> None:
    labels = node.labels
    if counts.affinity and all(term.matches(other, labels_of) for term in counts.affinity):
        _add(counts.wanted, counts.affinity, labels)
    for term in counts.anti_affinity:
        if term.matches(other, labels_of):
            _add(counts.unwanted, (term,), labels)
    if other.has_pod_affinity:
        for term in affinity.required(other, "podAntiAffinity"):
            if term.matches(pod, labels_of):
                _add(counts.forbidden, (term,), labels)


def _add(into: Counter[Domain], terms: Iterable[Term], labels: View) -> None:
    for term in terms:
        value = labels.get(term.topology_key)
        if value is not None:
            into[term.topology_key, value] += 1


def _weigh(scores: Counter[Domain], term: Term, labels: View, weight: int) -> None:
    value = labels.get(term.topology_key)
    if value is not None and weight:
        scores[term.topology_key, value] += weight


def _has_company(counts: _Counts, labels: View) -> bool:
    if not counts.affinity:
        return True
    if any(term.topology_key not in labels for term in counts.affinity):
        return False
    if all(counts.wanted.get((t.topology_key, labels[t.topology_key])) for t in counts.affinity):
        return True
    return not counts.wanted and counts.fits_itself
