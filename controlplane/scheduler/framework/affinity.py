"""When a node meets what a pod asks of nodes: nodeSelector, required terms, terms of preference."""

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.scheduler.framework.node_info import NodeInfo


def required_matches(spec: Mapping[str, Any], node: NodeInfo) -> bool:
    """Whether the node meets nodeSelector and the required terms (terms are alternatives)."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        if node.labels.get(key) != value:
            return False
    required = affinity_of(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
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


def affinity_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod's node affinity, empty when it has none."""
    affinity: Mapping[str, Any] = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


def named_nodes(spec: Mapping[str, Any]) -> frozenset[str] | None:
    """The only nodes the required terms can match, when every term names nodes; else None."""
    required = affinity_of(spec).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    found: set[str] = set()
    for term in terms:
        named = [
            frozenset(field.get("values") or ())
            for field in term.get("matchFields") or ()
            if field.get("key") == "metadata.name" and field.get("operator") == "In"
        ]
        if not named:
            return None
        found |= frozenset.intersection(*named)
    return frozenset(found) if terms else None
