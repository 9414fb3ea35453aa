"""PodDisruptionBudgets: how many pods of a set may be evicted at a time.

Sources: pkg/apis/policy/validation/validation.go, pkg/registry/policy/poddisruptionbudget.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME, Cell
from controlplane.api.table.standard import integer, text
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.conditions import validate_conditions
from controlplane.api.validation.internal import Shape

POD_DISRUPTION_BUDGETS = Resource(
    "policy",
    "v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    short_names=("pdb",),
    subresources=(STATUS,),
)

_SPEC = Shape(
    (
        ("MinAvailable", "minAvailable", None),
        ("Selector", "selector", None),
        ("MaxUnavailable", "maxUnavailable", None),
        ("UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy", None),
    )
)
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_REQUIRED_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new budget."""
    return _spec(meta.spec(obj), allows_invalid_values=False)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed budget; a selector that was let pass once stays good."""
    was_bad = bool(selector.validate_selector(meta.spec(old).get("selector"), ""))
    return _spec(meta.spec(new), allows_invalid_values=was_bad)


def _spec(spec: Obj, *, allows_invalid_values: bool) -> list[Cause]:
    causes: list[Cause] = []
    limits = {key: spec.get(key) for key in ("minAvailable", "maxUnavailable")}
    if None not in limits.values():
        detail = "minAvailable and maxUnavailable cannot be both set"
        causes.append(fields.invalid("spec", _SPEC.of(spec), detail))
    for key, value in limits.items():
        if value is not None:
            causes += amounts.int_or_percent(f"spec.{key}", value)
            causes += amounts.at_most_100_percent(f"spec.{key}", value)
    causes += selector.validate_selector(
        spec.get("selector"), "spec.selector", allows_invalid_values=allows_invalid_values
    )
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        causes.append(fields.not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES))
    return causes


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a budget's status."""
    del old
    status = meta.status(new)
    causes = validate_conditions("status.conditions", status.get("conditions"))
    return causes + amounts.all_non_negative("status", status, _REQUIRED_COUNTS)


def _limit(key: str) -> Cell:
    def cell(obj: Obj, now: float) -> str:
        value = meta.spec(obj).get(key)
        return "N/A" if value is None else str(value)

    return cell


COLUMNS = (
    NAME,
    text("Min Available", _limit("minAvailable"), "How many pods must stay."),
    text("Max Unavailable", _limit("maxUnavailable"), "How many pods may be gone."),
    integer("Allowed Disruptions", "status.disruptionsAllowed", "How many may go now."),
    AGE,
)


class BudgetStrategy(SpecStrategy):
    """The rules of budgets."""

    allows_unconditional_update = False

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing may be evicted before the pods were counted."""
        super().prepare_for_create(obj)
        obj["status"] = dict.fromkeys(_REQUIRED_COUNTS, 0)


KIND = Kind(
    POD_DISRUPTION_BUDGETS,
    strategy=BudgetStrategy,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=MetadataRules(0),
)
