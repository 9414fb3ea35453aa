"""Leases: who holds a role, and since when."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")

_STRATEGIES = ("OldestEmulationVersion",)


def _validate(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    causes: list[Cause] = []
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        causes.append(
            fields.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
        )
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        causes.append(fields.invalid("spec.leaseTransitions", transitions, detail))
    strategy = spec.get("strategy") or ""
    if spec.get("strategy") is not None:
        causes += _strategy(strategy, "spec.strategy")
    if spec.get("preferredHolder") and not strategy:
        detail = "may only be specified if `strategy` is defined"
        causes.append(fields.forbidden("spec.preferredHolder", detail))
    return causes


def _strategy(strategy: str, path: str) -> list[Cause]:
    """A strategy of Kubernetes, or one of others by a name with a prefix."""
    if "/" in strategy:
        return fields.each(path, strategy, names.qualified_name(strategy))
    if strategy in _STRATEGIES:
        return []
    return [fields.not_supported(path, strategy, _STRATEGIES)]


_COLUMNS = (
    NAME,
    Column("Holder", cells.field("spec.holderIdentity"), description="Who holds it."),
    AGE,
)


class _LeaseStrategy(Strategy):
    allows_unconditional_update = False
    creates_on_update = True

    def prepare_for_create(self, obj: Obj) -> None:
        """Coordinated election is off unless a gate is set: what is for it only is dropped."""
        super().prepare_for_create(obj)
        _drop_unused(obj, {})

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        super().prepare_for_update(obj, live)
        _drop_unused(obj, meta.spec(live))


def _drop_unused(obj: Obj, before: Obj) -> None:
    for key in ("strategy", "preferredHolder"):
        if key not in before:
            meta.spec(obj).pop(key, None)


# Unlike others, leases may carry finalizers without a prefix.
KIND = Kind(
    LEASES,
    strategy=_LeaseStrategy,
    validate=_validate,
    columns=_COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.CHANGED,
)
