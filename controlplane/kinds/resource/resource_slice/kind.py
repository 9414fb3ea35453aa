"""ResourceSlices: devices of one driver in one pool, and the nodes that reach them.

Source: pkg/apis/resource/validation/validation.go, pkg/registry/resource/resourceslice/strategy.go.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import PLAIN_LABELS, Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.node_selector import validate_node_selector
from controlplane.kinds.core.volume_sources import driver_name
from controlplane.kinds.resource.identifiers import pool_name
from controlplane.kinds.resource.lists import alternatives, validate_set
from controlplane.kinds.resource.resource_slice.devices import validate_counters, validate_device

RESOURCE_SLICES = Resource(
    "resource.k8s.io",
    "v1",
    "ResourceSlice",
    "resourceslices",
    namespaced=False,
    field_labels=("spec.nodeName", "spec.driver"),
)

_MAX_DEVICES = 128
_MAX_RICH_DEVICES = 64
_MAX_COUNTER_SETS = 8
_LASTING = (("pool.name", ""), ("driver", ""), ("nodeName", None))
_LISTS = ("ints", "bools", "strings", "versions")
_WHERE = (
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new slice."""
    return _validate(obj, None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed slice."""
    return _validate(new, old)


def _validate(obj: Obj, old: Obj | None) -> list[Cause]:
    spec = meta.spec(obj)
    pool = spec.get("pool") or {}
    causes = driver_name(spec.get("driver"), "spec.driver")
    causes += pool_name("spec.pool.name", pool.get("name") or "")
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        detail = "must be greater than zero"
        causes.append(fields.invalid("spec.pool.resourceSliceCount", count, detail))
    if generation < 0:
        detail = "must be greater than or equal to zero"
        causes.append(fields.invalid("spec.pool.generation", generation, detail))
    if old is not None:
        causes += _lasting(spec, meta.spec(old))
    causes += _nodes(spec)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        detail = "only one of `sharedCounters` or `devices` is allowed"
        causes.append(fields.invalid("spec", "", detail))
    return causes + _devices(spec, {} if old is None else meta.spec(old))


def _lasting(spec: Obj, before: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for path, absent in _LASTING:
        new, old = _at(spec, path, absent), _at(before, path, absent)
        if new != old:
            causes.append(fields.immutable(f"spec.{path}", new))
    return causes


def _at(spec: Obj, path: str, absent: Any) -> Any:
    value: Any = spec
    for key in path.split("."):
        value = (value or {}).get(key)
    return absent if value is None else value


def _nodes(spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    given: list[str] = []
    node, selector = spec.get("nodeName"), spec.get("nodeSelector")
    if node:
        given.append("nodeName")
        causes += fields.each("spec.nodeName", node, names.dns_subdomain(node))
    elif node is not None:
        detail = "must be either unset or set to a non-empty string"
        causes.append(fields.invalid("spec.nodeName", node, detail))
    if selector is not None:
        given.append("nodeSelector")
        causes += validate_node_selector("spec.nodeSelector", selector)
        terms = selector.get("nodeSelectorTerms")
        if len(terms or ()) != 1:
            detail = "must have exactly one node selector term"
            causes.append(fields.invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    for key in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(key):
            given.append(key)
        elif spec.get(key) is not None:
            detail = "must be either unset or set to true"
            causes.append(fields.invalid(f"spec.{key}", spec[key], detail))
    if len(given) == 1:
        return causes
    if not given:
        return [*causes, fields.required("spec", _WHERE)]
    detail = f"{_WHERE}, but multiple fields are set"
    return [*causes, fields.invalid("spec", alternatives(given), detail)]


def _devices(spec: Obj, before: Obj) -> list[Cause]:
    known = {device.get("name"): device for device in before.get("devices") or ()}
    selects_nodes = bool(spec.get("perDeviceNodeSelection"))

    def device_rule(path: str, device: Obj) -> list[Cause]:
        stored = known.get(device.get("name"))
        return validate_device(path, device, stored, selects_nodes=selects_nodes)

    def set_rule(path: str, row: Obj) -> list[Cause]:
        return validate_counters(path, row, row.get("name") or "", "name")

    devices = spec.get("devices") or []
    limit = _MAX_RICH_DEVICES if any(map(_is_rich, devices)) else _MAX_DEVICES
    causes = validate_set("spec.devices", devices, limit, device_rule, _name_of)
    return causes + validate_set(
        "spec.sharedCounters", spec.get("sharedCounters"), _MAX_COUNTER_SETS, set_rule, _name_of
    )


def _name_of(row: Obj) -> str:
    return row.get("name") or ""


def _is_rich(device: Obj) -> bool:
    if device.get("taints") or device.get("consumesCounters"):
        return True
    attributes = device.get("attributes") or {}
    return any(row.get(key) is not None for row in attributes.values() for key in _LISTS)


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """A driver whose name is not in lower case."""
    del old
    driver = meta.spec(obj).get("driver") or ""
    if driver == driver.lower():
        return []
    shown = fields.show(driver)
    detail = f"driver names should be lowercase; {shown} contains uppercase characters"
    return [f"spec.driver: {detail}"]


class SliceStrategy(SpecStrategy):
    """The rules of slices: taints know since when they are."""

    def prepare_for_create(self, obj: Obj) -> None:
        """All taints are new."""
        super().prepare_for_create(obj)
        _stamp_taints(obj)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Taints without a time are new."""
        super().prepare_for_update(obj, live)
        _stamp_taints(obj)


def _stamp_taints(obj: Obj) -> None:
    metadata = meta.metadata(obj)
    # The entry of the writer of now is the latest.
    written = [str(entry.get("time") or "") for entry in metadata.get("managedFields") or ()]
    now = max([str(metadata.get("creationTimestamp") or ""), *written])
    for device in meta.spec(obj).get("devices") or ():
        for taint in device.get("taints") or ():
            if not taint.get("timeAdded"):
                taint["timeAdded"] = now


COLUMNS = (
    NAME,
    text("Node", cells.field("spec.nodeName"), "The node."),
    text("Driver", cells.field("spec.driver"), "The driver."),
    text("Pool", cells.field("spec.pool.name"), "The pool."),
    AGE,
)

KIND = Kind(
    RESOURCE_SLICES,
    unknown_field_label=PLAIN_LABELS,
    strategy=SliceStrategy,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
