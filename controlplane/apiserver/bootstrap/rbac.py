"""How the default roles and bindings that are found are completed. Pure.

At each start what is missing is added to them: roles, rules, subjects, labels. What is
there beyond is left alone, and so is an object annotated `rbac.authorization.kubernetes.io/autoupdate: "false"`.

Source: component-helpers/auth/rbac/reconciliation, pkg/registry/rbac/rest.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.rbac import rules

_AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"


def is_left_alone(existing: Obj) -> bool:
    """Whether somebody has taken the object out of this."""
    return meta.annotations(existing).get(_AUTO_UPDATE) == "false"


def completed(existing: Obj, expected: Obj) -> Obj:
    """`existing` with what it lacks of `expected`; the same object when it lacks nothing."""
    if is_left_alone(existing):
        return existing
    wanted = meta.copy_of(existing)
    for field in ("labels", "annotations"):
        merged = {
            **(meta.metadata(expected).get(field) or {}),
            **(meta.metadata(existing).get(field) or {}),
        }
        if merged:
            wanted["metadata"][field] = merged
    if "roleRef" in expected:
        _add(wanted, "subjects", expected.get("subjects") or ())
    else:
        _complete_role(wanted, existing, expected)
    return existing if wanted == existing else wanted


def needs_replacement(existing: Obj, expected: Obj) -> bool:
    """Whether a binding has to be made anew: its role cannot be changed."""
    if "roleRef" not in expected or is_left_alone(existing):
        return False
    return bool(existing.get("roleRef") != expected["roleRef"])


def _complete_role(wanted: Obj, existing: Obj, expected: Obj) -> None:
    missing = rules.uncovered(existing.get("rules") or (), expected.get("rules") or ())
    if missing:
        wanted["rules"] = [*(existing.get("rules") or ()), *missing]
    aggregation = expected.get("aggregationRule")
    if aggregation is None:
        wanted.pop("aggregationRule", None)
        return
    present = wanted.setdefault("aggregationRule", {})
    _add(present, "clusterRoleSelectors", aggregation["clusterRoleSelectors"])


def _add(target: Obj, field: str, wanted: Iterable[Obj]) -> None:
    present = list(target.get(field) or ())
    missing = [one for one in wanted if one not in present]
    if missing:
        target[field] = [*present, *missing]
