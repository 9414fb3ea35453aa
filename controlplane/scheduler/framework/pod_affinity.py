"""Terms of pod affinity and anti-affinity, read once: which pods they mean, and in which domains of nodes.

Source: pkg/scheduler/framework/types.go (AffinityTerm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api.selectors import LabelSelector
from controlplane.scheduler.framework.node_info import PodInfo

NamespaceLabels = Callable[[str], Mapping[str, str]]
"""The labels of a namespace by its name; empty for one that is not there."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a pod; `weight` is that of a preferred one, 0 for a required one."""

    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None
    selector: LabelSelector | None
    weight: int = 0

    def matches(self, pod: PodInfo, namespace_labels: NamespaceLabels) -> bool:
        """Whether the term means `pod`."""
        if pod.namespace not in self.namespaces:
            if self.namespace_selector is None:
                return False
            if not self.namespace_selector.matches(namespace_labels(pod.namespace)):
                return False
        return self.selector is not None and self.selector.matches(pod.labels)


def required(pod: PodInfo, kind: str) -> list[Term]:
    """The terms that must hold; `kind` is `podAffinity` or `podAntiAffinity`."""
    rules = pod.affinity.get(kind) or {}
    return [_term(pod, raw) for raw in rules.get(_REQUIRED) or ()]


def preferred(pod: PodInfo, kind: str) -> list[Term]:
    """The terms that count for the score."""
    rules = pod.affinity.get(kind) or {}
    return [
        _term(pod, row.get("podAffinityTerm") or {}, int(row.get("weight") or 0))
        for row in rules.get(_PREFERRED) or ()
    ]


def _term(pod: PodInfo, raw: Mapping[str, Any], weight: int = 0) -> Term:
    names = frozenset(str(name) for name in raw.get("namespaces") or ())
    namespace_selector = raw.get("namespaceSelector")
    if not names and namespace_selector is None:
        # Neither says anything: the pod's own namespace is meant.
        names = frozenset((pod.namespace,))
    selector = raw.get("labelSelector")
    return Term(
        str(raw.get("topologyKey") or ""),
        names,
        None if namespace_selector is None else LabelSelector.from_object(namespace_selector),
        None if selector is None else LabelSelector.from_object(_pinned(pod, raw, selector)),
        weight,
    )


def _pinned(pod: PodInfo, raw: Mapping[str, Any], selector: Mapping[str, Any]) -> Mapping[str, Any]:
    """The selector with `matchLabelKeys` and `mismatchLabelKeys` taken from the pod's own labels."""
    rows = list(selector.get("matchExpressions") or ())
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in raw.get(field) or ():
            value = pod.labels.get(key)
            row = {"key": key, "operator": operator, "values": [value]}
            if value is not None and row not in rows:
                rows.append(row)
    return {**selector, "matchExpressions": rows}
