"""StorageClasses: sorts of volumes that claims ask for.

Sources: pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go, pkg/apis/storage/util/util.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, Column
from controlplane.api.table.standard import or_text, text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.kinds.core import node_selector
from controlplane.kinds.storage.parameters import validate_parameters, validate_provisioner

STORAGE_CLASSES = Resource(
    "storage.k8s.io",
    "v1",
    "StorageClass",
    "storageclasses",
    namespaced=False,
    short_names=("sc",),
)

DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_ANNOTATION = "storageclass.beta.kubernetes.io/is-default-class"
_RECLAIM_POLICIES = ("Delete", "Retain")
_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
_FIXED = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    if obj.get("reclaimPolicy") is None:
        obj["reclaimPolicy"] = "Delete"
    if obj.get("volumeBindingMode") is None:
        obj["volumeBindingMode"] = "Immediate"


def validate(obj: Obj) -> list[Cause]:
    """Causes in a class."""
    causes = validate_provisioner("provisioner", obj.get("provisioner") or "")
    causes += validate_parameters("parameters", obj.get("parameters"))
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in _RECLAIM_POLICIES:
        causes.append(fields.not_supported("reclaimPolicy", policy, _RECLAIM_POLICIES))
    if mode is None:
        causes.append(fields.required("volumeBindingMode"))
    elif mode not in _BINDING_MODES:
        causes.append(fields.not_supported("volumeBindingMode", mode, _BINDING_MODES))
    return causes + _topologies(obj.get("allowedTopologies") or [])


def _topologies(terms: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    # Compat: upstream starts with as many empty terms as are given, so that an empty one is always a duplicate.
    seen: list[dict[str, frozenset[str]]] = [{} for _ in terms]
    for index, term in enumerate(terms):
        path = f"allowedTopologies[{index}].matchLabelExpressions"
        raw: dict[str, frozenset[str]] = {}
        for number, row in enumerate(term.get("matchLabelExpressions") or ()):
            causes += _label_requirement(row, f"{path}[{number}]")
            key = row.get("key") or ""
            if key in raw:
                causes.append(fields.duplicate(f"{path}[{number}].key", key))
            raw[key] = frozenset(row.get("values") or ())
        causes += [fields.duplicate(path, "") for other in seen if other == raw]
        seen.append(raw)
    return causes


def _label_requirement(row: Obj, path: str) -> list[Cause]:
    values, key = row.get("values") or [], str(row.get("key") or "")
    causes: list[Cause] = []
    if not values:
        causes.append(fields.required(f"{path}.values"))
    for index, value in enumerate(values):
        if value in values[:index]:
            causes.append(fields.duplicate(f"{path}.values[{index}]", value))
    return causes + fields.each(f"{path}.key", key, names.qualified_name(key))


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class: most of it stays."""
    causes: list[Cause] = []
    for key in _FIXED:
        value = new.get(key)
        if not is_same(value, old.get(key)):
            shown = dict(sorted(value.items())) if isinstance(value, dict) else value
            shown = "" if key == "provisioner" and shown is None else shown
            causes.append(fields.immutable(key, shown))
    return causes


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Labels of topologies that nodes will not have for ever."""
    del old
    return [
        f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: "
        + node_selector.DEPRECATED_LABELS[row["key"]]
        for index, term in enumerate(obj.get("allowedTopologies") or ())
        for number, row in enumerate(term.get("matchLabelExpressions") or ())
        if row.get("key") in node_selector.DEPRECATED_LABELS
    ]


def is_default(obj: Obj) -> bool:
    """Whether claims without a class get this one."""
    noted = meta.annotations(obj)
    return "true" in (noted.get(DEFAULT_ANNOTATION), noted.get(BETA_DEFAULT_ANNOTATION))


def default_of(classes: Iterable[Obj]) -> Obj | None:
    """The class of claims that name none: of several defaults the newest, then the first by name."""
    found = sorted((one for one in classes if is_default(one)), key=meta.name)
    found.sort(key=meta.creation_timestamp, reverse=True)
    return found[0] if found else None


def _name(obj: Obj, now: float) -> str:
    return meta.name(obj) + (" (default)" if is_default(obj) else "")


def _grows(obj: Obj, now: float) -> bool:
    return bool(obj.get("allowVolumeExpansion"))


COLUMNS = (
    Column("Name", _name, format="name", description="Name must be unique within a namespace."),
    text("Provisioner", cells.field("provisioner"), "Who makes the volumes."),
    text("ReclaimPolicy", or_text("reclaimPolicy", "Delete"), "What happens to released ones."),
    text("VolumeBindingMode", or_text("volumeBindingMode", "Immediate"), "When they are made."),
    text("AllowVolumeExpansion", _grows, "Whether they can grow."),
    AGE,
)

KIND = Kind(
    STORAGE_CLASSES,
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=COLUMNS,
    warnings=warnings,
)
