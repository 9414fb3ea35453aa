"""What an aggregated role's rules are. Pure.

Source: pkg/controller/clusterroleaggregation.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector


def is_aggregated(role: Obj) -> bool:
    """Whether the role is filled from others."""
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def aggregated_rules(role: Obj, roles: Iterable[Obj]) -> list[Obj]:
    """The rules of all other roles that a selector takes, each once, in order of selectors, then of names."""
    ordered = sorted(roles, key=meta.name)
    found: list[Obj] = []
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        wanted = LabelSelector.from_object(selector)
        for other in ordered:
            if meta.name(other) == meta.name(role) or not wanted.matches(meta.labels(other)):
                continue
            found += [rule for rule in other.get("rules") or () if rule not in found]
    return found
