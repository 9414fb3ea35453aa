"""What roles have in common: the form of their rules, with upstream's messages.

Source: pkg/apis/rbac/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import NAME, Column
from controlplane.api.validation import causes as fields

COLUMNS = (
    NAME,
    Column("Created At", cells.field("metadata.creationTimestamp"), type="date"),
)


class RbacStrategy(Strategy):
    """Of roles and their bindings: a PUT makes what is not there."""

    creates_on_update = True


def default(obj: Obj) -> None:
    """Roles without rules show that they have none."""
    obj.setdefault("rules", None)


def validate(obj: Obj, *, is_namespaced: bool) -> list[Cause]:
    """Causes in the rules of a role; one in a namespace may say nothing of paths."""
    causes: list[Cause] = []
    for number, rule in enumerate(obj.get("rules") or ()):
        causes += _validate_rule(rule, f"rules[{number}]", is_namespaced=is_namespaced)
    return causes


def _validate_rule(rule: Obj, path: str, *, is_namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    if not rule.get("verbs"):
        causes.append(fields.required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if is_namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            causes.append(fields.invalid(f"{path}.nonResourceURLs", urls, detail))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(fields.invalid(f"{path}.nonResourceURLs", urls, detail))
        return causes
    if not rule.get("apiGroups"):
        detail = "resource rules must supply at least one api group"
        causes.append(fields.required(f"{path}.apiGroups", detail))
    if not rule.get("resources"):
        detail = "resource rules must supply at least one resource"
        causes.append(fields.required(f"{path}.resources", detail))
    return causes
