"""Which objects a quota with scopes means.

`spec.scopes` are selectors with the operator Exists; all selectors must match.

Sources: pkg/quota/v1/evaluator/core/pods.go (podMatchesScopeFunc), persistent_volume_claims.go (pvcMatchesScopeFunc),
pkg/apis/core/v1/helper (ScopedResourceSelectorRequirementsAsSelector).
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj, View
from controlplane.kinds.core.pod.views import qos_class

_AFFINITIES = ("podAffinity", "podAntiAffinity")


def selectors_of(quota: Obj) -> list[Obj]:
    """The quota's scopes as selectors."""
    spec = meta.spec(quota)
    plain = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


def is_terminating(pod: Obj) -> bool:
    """Whether the pod is bound to end: it has an active deadline."""
    deadline = meta.spec(pod).get("activeDeadlineSeconds")
    return deadline is not None and deadline >= 0


def matches_pod(selector: View, pod: Obj) -> bool:
    """Whether the selector means the pod; scopes that are not of pods mean none."""
    spec = meta.spec(pod)
    match selector.get("scopeName"):
        case "Terminating":
            return is_terminating(pod)
        case "NotTerminating":
            return not is_terminating(pod)
        case "BestEffort":
            return qos_class(spec) == "BestEffort"
        case "NotBestEffort":
            return qos_class(spec) != "BestEffort"
        case "PriorityClass":
            name = spec.get("priorityClassName")
            return _matches(selector, (name,) if name else ())
        case "CrossNamespacePodAffinity":
            return _reaches_other_namespaces(spec)
    return False


def volume_classes(claim: Obj) -> set[str]:
    """The classes of volume attributes that a claim names: wanted, had, under way."""
    status = meta.status(claim)
    names = (
        meta.spec(claim).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return {name for name in names if name}


def matches_claim(selector: View, claim: Obj) -> bool:
    """Whether the selector means the claim; scopes that are not of claims mean none."""
    if selector.get("scopeName") != "VolumeAttributesClass":
        return False
    return _matches(selector, volume_classes(claim))


def matches_nothing(selector: View, obj: Obj) -> bool:
    """The answer for kinds that no scope means."""
    return False


def _matches(selector: View, names: Iterable[str]) -> bool:
    """Whether a selector of labels matches one of the names; without any, whether it matches no label."""
    values = selector.get("values") or ()
    present = list(names)
    match selector.get("operator"):
        case "Exists":
            return bool(present)
        case "DoesNotExist":
            return not present
        case "In":
            return any(name in values for name in present)
        case "NotIn":
            return not present or any(name not in values for name in present)
    return False


def _reaches_other_namespaces(spec: View) -> bool:
    affinity = spec.get("affinity") or {}
    for side in _AFFINITIES:
        rules = affinity.get(side) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            terms.append(weighted.get("podAffinityTerm") or {})
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False
