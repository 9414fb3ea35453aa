"""CSINodes: the drivers that run on a node, by the node's name.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Shape
from controlplane.kinds.core import volume_sources

CSI_NODES = Resource("storage.k8s.io", "v1", "CSINode", "csinodes", namespaced=False)

_MAX_NODE_ID = 256
_DRIVER = Shape(
    (
        ("Name", "name", ""),
        ("NodeID", "nodeID", ""),
        ("TopologyKeys", "topologyKeys", None),
        ("Allocatable", "allocatable", None),
    )
)


def default(obj: Obj) -> None:
    """The list is always there."""
    part(obj, "spec").setdefault("drivers", None)


def validate(obj: Obj) -> list[Cause]:
    """Causes in the drivers."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, driver in enumerate(meta.spec(obj).get("drivers") or ()):
        path, name = f"spec.drivers[{index}]", driver.get("name") or ""
        causes += volume_sources.driver_name(name, f"{path}.name")
        node = driver.get("nodeID") or ""
        if not node:
            causes.append(fields.required(f"{path}.nodeID"))
        if len(node) > _MAX_NODE_ID:
            detail = f"must be {_MAX_NODE_ID} characters or less"
            causes.append(fields.invalid(f"{path}.nodeID", node, detail))
        count = (driver.get("allocatable") or {}).get("count")
        causes += fields.non_negative(f"{path}.allocatable.count", count)
        if name in seen:
            causes.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
        causes += _topology_keys(driver.get("topologyKeys") or [], path)
    return causes


def _topology_keys(keys: list[str], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, key in enumerate(keys):
        if not key:
            causes.append(fields.required(path))
        if key in keys[:index]:
            causes.append(fields.duplicate(path, key))
        causes += fields.each(path, key, names.qualified_name(key))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed list: a driver that stays, stays as it is but for how much it can attach."""
    causes = validate(new)
    for before in meta.spec(old).get("drivers") or ():
        for driver in meta.spec(new).get("drivers") or ():
            if driver.get("name") != before.get("name"):
                continue
            fixed = {**driver, "allocatable": None}
            if not is_same(fixed, {**before, "allocatable": None}):
                causes.append(fields.immutable("spec.drivers", _DRIVER.of(fixed)))
    return causes


def _count(obj: Obj, now: float) -> int:
    return len(meta.spec(obj).get("drivers") or ())


COLUMNS = (
    NAME,
    Column("Drivers", _count, type="integer", description="How many drivers run there."),
    AGE,
)


class NodeStrategy(Strategy):
    """The rules of these lists."""

    returns_deleted = True

    allows_unconditional_update = False


KIND = Kind(
    CSI_NODES,
    strategy=NodeStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.CHANGED,
)
