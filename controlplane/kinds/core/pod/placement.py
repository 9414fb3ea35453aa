"""On which nodes a pod may run by its nodeName, nodeSelector and required node affinity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controlplane.api import meta
from controlplane.api.meta import Obj, View


def fits(spec: View, node: Obj) -> bool:
    """Whether the node is one the pod asks for; taints are another matter."""
    wanted = spec.get("nodeName")
    if wanted and wanted != meta.name(node):
        return False
    labels = meta.labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return selects(required, node)


def selects(selector: View, node: Obj) -> bool:
    """Whether a NodeSelector selects the node: one of its terms holds."""
    return any(_holds(term, node) for term in selector.get("nodeSelectorTerms") or ())


def _holds(term: View, node: Obj) -> bool:
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False  # an empty term matches nothing
    labels, names = meta.labels(node), {"metadata.name": meta.name(node)}
    return all(_matches(item, labels) for item in expressions) and all(
        _matches(item, names) for item in fields
    )


def _matches(item: View, values: Mapping[str, str]) -> bool:
    key, operator = item.get("key", ""), item.get("operator")
    listed: Iterable[str] = item.get("values") or ()
    value = values.get(key)
    if operator == "In":
        return value is not None and value in listed
    if operator == "NotIn":
        return value is None or value not in listed
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None:
        try:
            have, limit = int(value), int(next(iter(listed)))
        except (ValueError, StopIteration):
            return False
        return have > limit if operator == "Gt" else have < limit
    return False
