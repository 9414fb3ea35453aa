"""ResourceQuotas: how much a namespace may hold in all.

Sources: pkg/apis/core/validation/validation.go (ValidateResourceQuota*), pkg/apis/core/helper/helpers.go,
pkg/registry/core/resourcequota, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.resource_names import (
    QUOTA_RESOURCES,
    is_quota_huge_pages,
    validate_amount,
    validate_quota_resource_name,
)

RESOURCE_QUOTAS = Resource(
    "",
    "v1",
    "ResourceQuota",
    "resourcequotas",
    short_names=("quota",),
    subresources=(STATUS,),
)

_POD_RESOURCES = frozenset(
    ("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
)
_CLAIM_RESOURCES = frozenset(("persistentvolumeclaims", "requests.storage"))
_EXISTS_ONLY = (
    "BestEffort",
    "NotBestEffort",
    "Terminating",
    "NotTerminating",
    "CrossNamespacePodAffinity",
)
# Which resources a quota with the scope may count.
_COUNTED_BY_SCOPE = {
    "Terminating": _POD_RESOURCES,
    "NotTerminating": _POD_RESOURCES,
    "NotBestEffort": _POD_RESOURCES,
    "PriorityClass": _POD_RESOURCES,
    "CrossNamespacePodAffinity": _POD_RESOURCES,
    "BestEffort": frozenset(("pods",)),
    "VolumeAttributesClass": _CLAIM_RESOURCES,
}
_CONFLICTS = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_MISFIT = "unsupported scope applied to resource"


def default(obj: Obj) -> None:
    """Amounts are stored in their canonical form."""
    amounts.canonical_quantities(part(obj, "spec"), "hard")
    amounts.canonical_quantities(part(obj, "status"), "hard", "used")


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new quota."""
    return _spec(meta.spec(obj)) + _amounts(meta.status(obj), "status", ("hard", "used"))


def _amounts(holder: Obj, path: str, keys: tuple[str, ...]) -> list[Cause]:
    causes: list[Cause] = []
    for key in keys:
        for name, value in (holder.get(key) or {}).items():
            where = f"{path}.{key}[{name}]"
            causes += validate_quota_resource_name(where, name)
            causes += validate_amount(where, name, value)
    return causes


def _spec(spec: Obj) -> list[Cause]:
    causes = _amounts(spec, "spec", ("hard",))
    counted = sorted(
        name
        for name in spec.get("hard") or ()
        if name in QUOTA_RESOURCES or is_quota_huge_pages(name)
    )
    causes += _scopes(spec.get("scopes") or [], counted)
    selector = spec.get("scopeSelector")
    if selector is not None:
        causes += _scope_selector(spec, selector, counted)
    return causes


def _fits(scope: str, name: str) -> bool:
    return name in _COUNTED_BY_SCOPE.get(scope, (name,))


def _scopes(scopes: list[str], counted: list[str]) -> list[Cause]:
    path, causes = "spec.scopes", list[Cause]()
    for scope in scopes:
        if scope not in _COUNTED_BY_SCOPE:
            causes.append(fields.invalid(path, scopes, "unsupported scope"))
        causes += [
            fields.invalid(path, scopes, _MISFIT) for name in counted if not _fits(scope, name)
        ]
    for pair in _CONFLICTS:
        if pair <= set(scopes):
            causes.append(fields.invalid(path, scopes, "conflicting scopes"))
    return causes


def _scope_selector(spec: Obj, selector: Obj, counted: list[str]) -> list[Cause]:
    path, causes = "spec.scopeSelector.matchExpressions", list[Cause]()
    rows = selector.get("matchExpressions") or []
    shown = {
        "MatchExpressions": [
            {
                "ScopeName": row.get("scopeName") or "",
                "Operator": row.get("operator") or "",
                "Values": row.get("values"),
            }
            for row in rows
        ]
    }
    for row in rows:
        scope = row.get("scopeName") or ""
        if scope not in _COUNTED_BY_SCOPE:
            causes.append(fields.invalid(f"{path}.scopeName", scope, "unsupported scope"))
        causes += [
            fields.invalid(path, shown, _MISFIT) for name in counted if not _fits(scope, name)
        ]
        causes += _requirement(row, scope, path)
    for pair in _CONFLICTS:
        if pair <= {row.get("scopeName") for row in rows}:
            causes.append(fields.invalid(path, spec.get("scopes"), "conflicting scopes"))
    return causes


def _requirement(row: Obj, scope: str, path: str) -> list[Cause]:
    operator, values = row.get("operator") or "", row.get("values")
    causes: list[Cause] = []
    if scope in _EXISTS_ONLY and operator != "Exists":
        detail = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
            "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        causes.append(fields.invalid(f"{path}.operator", operator, detail))
    if operator in ("In", "NotIn"):
        if not values:
            detail = (
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
            causes.append(fields.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = (
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            )
            causes.append(fields.invalid(f"{path}.values", values, detail))
    else:
        detail = "not a valid selector operator"
        causes.append(fields.invalid(f"{path}.operator", operator, detail))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed quota: its scopes stay."""
    causes = _spec(meta.spec(new))
    scopes = meta.spec(new).get("scopes")
    if set(scopes or ()) != set(meta.spec(old).get("scopes") or ()):
        causes.append(fields.immutable("spec.scopes", scopes))
    return causes


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a quota's status."""
    del old
    return _amounts(meta.status(new), "status", ("hard", "used"))


def _used(obj: Obj, *, is_limits: bool) -> str:
    status = meta.status(obj)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    return ", ".join(
        f"{name}: {used.get(name) or '0'}/{hard[name]}"
        for name in sorted(hard)
        if name.startswith("limits.") is is_limits
    )


def _requests(obj: Obj, now: float) -> str:
    return _used(obj, is_limits=False)


def _limits(obj: Obj, now: float) -> str:
    return _used(obj, is_limits=True)


COLUMNS = (
    NAME,
    text("Request", _requests, "Used and allowed, but for limits."),
    text("Limit", _limits, "Used and allowed limits."),
    AGE,
)


class QuotaStrategy(Strategy):
    """The rules of quotas."""

    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing has been counted yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}


KIND = Kind(
    RESOURCE_QUOTAS,
    strategy=QuotaStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.WHOLE,
)
