"""PriorityClasses: a name for how much pods matter.

Source: pkg/apis/scheduling/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import boolean, integer, text
from controlplane.api.validation import causes as fields

PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io",
    "v1",
    "PriorityClass",
    "priorityclasses",
    namespaced=False,
    short_names=("pc",),
)

HIGHEST_OF_USERS = 1_000_000_000
SYSTEM_PRIORITIES = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
"""The classes that every cluster has."""

_SYSTEM = "system-"
_POLICIES = ("PreemptLowerPriority", "Never")


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    if obj.get("preemptionPolicy") is None:
        obj["preemptionPolicy"] = "PreemptLowerPriority"


def validate(obj: Obj) -> list[Cause]:
    """Causes in a class."""
    name, value = meta.name(obj), obj.get("value") or 0
    causes: list[Cause] = []
    if name.startswith(_SYSTEM):
        problem = _unlike_system_class(name, value, bool(obj.get("globalDefault")))
        if problem:
            detail = (
                f"priority class names with '{_SYSTEM}' prefix are reserved for system use only. "
                f"error: {problem}"
            )
            causes.append(fields.forbidden("metadata.name", detail))
    elif value > HIGHEST_OF_USERS:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        causes.append(fields.forbidden("value", detail))
    policy = obj.get("preemptionPolicy")
    if policy is not None:
        causes += _policy(policy)
    return causes


def _policy(policy: str) -> list[Cause]:
    if not policy:
        return [fields.required("preemptionPolicy")]
    if policy in _POLICIES:
        return []
    return [fields.not_supported("preemptionPolicy", policy, _POLICIES)]


def _unlike_system_class(name: str, value: int, is_default: bool) -> str:
    known = SYSTEM_PRIORITIES.get(name)
    if known is None:
        return f"{name} is not a known system priority class"
    if value != known:
        return f"value of {name} PriorityClass must be {known}"
    if is_default:
        return f"globalDefault of {name} PriorityClass must be false"
    return ""


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class: pods were given its number already."""
    causes: list[Cause] = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        causes.append(fields.forbidden("value", "may not be changed in an update."))
    policy = new.get("preemptionPolicy")
    if policy != old.get("preemptionPolicy"):
        causes.append(fields.immutable("preemptionPolicy", policy))
    return causes


def _is_default(obj: Obj, now: float) -> bool:
    return bool(obj.get("globalDefault"))


COLUMNS = (
    NAME,
    integer("Value", "value", "The priority that pods of the class get."),
    boolean("Global-Default", _is_default, "Whether pods that name no class get it."),
    AGE,
    text("PreemptionPolicy", cells.field("preemptionPolicy"), "Whether others give way."),
)


class PriorityClassStrategy(Strategy):
    """The rules of classes: the generation is set, but changes are not counted."""

    def prepare_for_create(self, obj: Obj) -> None:
        """The first generation."""
        super().prepare_for_create(obj)
        meta.ensure_metadata(obj)["generation"] = 1

    def keeps(self, live: Obj) -> str:
        """What the control plane stands on stays."""
        if meta.name(live) in SYSTEM_PRIORITIES:
            return "this is a system priority class and cannot be deleted"
        return ""


KIND = Kind(
    PRIORITY_CLASSES,
    strategy=PriorityClassStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.WHOLE,
)
