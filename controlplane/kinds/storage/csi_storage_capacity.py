"""CSIStorageCapacities: how much of a storage class is left in a part of the cluster.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import names, quantity
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.validation import amounts, selector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.kinds.core import node_selector

CSI_STORAGE_CAPACITIES = Resource(
    "storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities"
)


def default(obj: Obj) -> None:
    """Amounts are stored in their canonical form."""
    for key in ("capacity", "maximumVolumeSize"):
        value = obj.get(key)
        if value is not None and quantity.is_valid(value):
            obj[key] = quantity.canonical(value)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new capacity."""
    return _validate(obj, allows_invalid_values=False)


def _validate(obj: Obj, *, allows_invalid_values: bool) -> list[Cause]:
    causes = selector.validate_selector(
        obj.get("nodeTopology"), "nodeTopology", allows_invalid_values=allows_invalid_values
    )
    name = obj.get("storageClassName") or ""
    causes += fields.each("storageClassName", name, names.dns_subdomain(name))
    return causes + amounts.non_negative_quantity("capacity", obj.get("capacity"))


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed capacity: what it is about stays."""
    topology, before = new.get("nodeTopology"), old.get("nodeTopology")
    was_bad = bool(selector.validate_selector(before, ""))
    causes = _validate(new, allows_invalid_values=was_bad)
    if not is_same(topology, before):
        causes.append(fields.immutable("nodeTopology", selector.shown(topology)))
    name = new.get("storageClassName") or ""
    if name != (old.get("storageClassName") or ""):
        causes.append(fields.immutable("storageClassName", name))
    return causes


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Labels that nodes will not have for ever."""
    del old
    topology = obj.get("nodeTopology") or {}
    found = [
        f"nodeTopology.matchExpressions[{index}].key: {warning}"
        for index, row in enumerate(topology.get("matchExpressions") or ())
        for warning in node_selector.label_warnings(row.get("key"))
    ]
    deprecated = node_selector.DEPRECATED_LABELS
    return found + [
        f"nodeTopology.matchLabels.{key}: {deprecated[key]}"
        for key in sorted(topology.get("matchLabels") or ())
        if key in deprecated
    ]


class CapacityStrategy(Strategy):
    """The rules of capacities."""

    allows_unconditional_update = False


KIND = Kind(
    CSI_STORAGE_CAPACITIES,
    strategy=CapacityStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    warnings=warnings,
)
