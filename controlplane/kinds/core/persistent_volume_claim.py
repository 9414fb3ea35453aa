"""PersistentVolumeClaims: storage a pod asks for, and what it got.

Sources: pkg/apis/core/validation/validation.go (ValidatePersistentVolumeClaim*), pkg/apis/core/v1/defaults.go,
pkg/api/persistentvolumeclaim/util.go (the two spellings of a data source), pkg/registry/core/persistentvolumeclaim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import or_text, text
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import difference
from controlplane.api.validation.selector import validate_selector

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
_RESIZE_STATUSES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
_SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
    "bound claims"
)

PERSISTENT_VOLUME_CLAIMS = Resource(
    "",
    "v1",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    short_names=("pvc",),
    subresources=(STATUS,),
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    default_spec(part(obj, "spec"))
    set_missing(part(obj, "status"), "phase", "Pending")
    amounts.canonical_quantities(obj["status"], "capacity", "allocatedResources")


def default_spec(spec: Obj) -> None:
    """Fill in what was left out of a claim's spec, in claims and in templates of them."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    amounts.canonical_quantities(spec.get("resources"), "requests", "limits")
    for key in ("dataSource", "dataSourceRef"):
        if isinstance(spec.get(key), dict):
            spec[key].setdefault("apiGroup", None)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a claim."""
    return validate_spec(meta.spec(obj), "spec")


def validate_spec(spec: Obj, path: str) -> list[Cause]:
    """Causes in the spec of a claim or of a template of claims."""
    causes: list[Cause] = []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(fields.required(f"{path}.accessModes", "at least 1 access mode is required"))
    causes += validate_selector(spec.get("selector"), f"{path}.selector")
    causes += validate_access_modes(modes, f"{path}.accessModes")
    where = f"{path}.resources[storage]"
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        causes.append(fields.required(where))
    elif quantity.is_valid(size) and quantity.parse(size) <= 0:
        causes.append(fields.invalid(where, quantity.canonical(size), "must be greater than zero"))
    causes += _class_name(spec, "storageClassName", path)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        causes.append(fields.not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    causes += _data_sources(spec, path)
    causes += _class_name(spec, "volumeAttributesClassName", path)
    return causes


def validate_access_modes(modes: Sequence[str], path: str) -> list[Cause]:
    """Causes in the access modes of a claim or volume."""
    causes = [
        fields.not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES
    ]
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        detail = "may not use ReadWriteOncePod with other access modes"
        causes.append(fields.forbidden(path, detail))
    return causes


def _class_name(spec: Obj, key: str, path: str) -> list[Cause]:
    name = spec.get(key)
    return fields.each(f"{path}.{key}", name, names.dns_subdomain(name)) if name else []


def _data_sources(spec: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for key, value in (("dataSource", source), ("dataSourceRef", reference)):
        if value is not None:
            causes += _data_source(value, f"{path}.{key}")
    namespace = (reference or {}).get("namespace")
    if namespace:
        causes += fields.each(
            f"{path}.dataSourceRef.namespace", namespace, names.dns_label(namespace)
        )
    if source is not None and reference is not None:
        # Compat: upstream hands the path of the other field over as the bad value, which prints as {}.
        if namespace:
            detail = "may not be specified when dataSourceRef.namespace is specified"
            causes.append(fields.invalid(path, {}, detail))
        elif any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
            causes.append(fields.invalid(path, {}, "must match dataSourceRef"))
    return causes


def _data_source(source: Obj, path: str) -> list[Cause]:
    causes = [fields.required(f"{path}.{key}") for key in ("name", "kind") if not source.get(key)]
    group, kind = source.get("apiGroup"), source.get("kind") or ""
    if not group and kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        causes.append(fields.invalid(path, kind, detail))
    if group:
        causes += fields.each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in what a change of a claim changes: little but its size, and that only once it is bound."""
    fresh, before = dict(meta.spec(new)), dict(meta.spec(old))
    causes: list[Cause] = []
    if not before.get("volumeName"):
        before["volumeName"] = fresh.get("volumeName")
    causes += _class_update(new, old, fresh)
    is_bound = meta.status(new).get("phase") == "Bound"
    if is_bound:
        fresh["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
        fresh["resources"] = _with_size(fresh, _size(before))
        before["resources"] = _with_size(before, _size(before))
    if not is_same(fresh, before):
        shown = difference(_plain(before), _plain(fresh))
        causes.append(fields.forbidden("spec", f"{_IMMUTABLE}\n{shown}"))
    size, old_size = _size(meta.spec(new)), _size(meta.spec(old))
    capacity = (meta.status(old).get("capacity") or {}).get("storage")
    if _amount(size) < _amount(old_size) and _amount(size) <= _amount(capacity):
        detail = "field can not be less than status.capacity"
        causes.append(fields.forbidden("spec.resources.requests.storage", detail))
    mode, old_mode = meta.spec(new).get("volumeMode"), meta.spec(old).get("volumeMode")
    if mode != old_mode:
        causes.append(fields.immutable("volumeMode", mode))
    return causes + _attributes_class_update(new, old)


def _class_update(new: Obj, old: Obj, fresh: Obj) -> list[Cause]:
    """The storage class may move from the annotation to the field, or be filled in once; `fresh` is made to agree."""
    name, old_name = fresh.get("storageClassName"), meta.spec(old).get("storageClassName")
    noted, old_noted = meta.annotations(new).get(BETA_CLASS), meta.annotations(old).get(BETA_CLASS)
    if old_noted is not None and old_name is None and name == old_noted and noted in (None, name):
        fresh["storageClassName"] = None
        return []
    causes: list[Cause] = []
    if (noted or "") != (old_noted or ""):
        path = f"metadata.annotations[{BETA_CLASS}]"
        causes.append(fields.immutable(path, noted or ""))
    if name is not None and old_name is None and old_noted in (None, name):
        fresh["storageClassName"] = old_name
    return causes


def _attributes_class_update(new: Obj, old: Obj) -> list[Cause]:
    key = "volumeAttributesClassName"
    name = meta.spec(new).get(key)
    if name == meta.spec(old).get(key):
        return []
    if meta.status(old).get("currentVolumeAttributesClassName") is None or name:
        return []
    word = "nil" if name is None else "empty string"
    detail = (
        f"update to {word} is forbidden when status.currentVolumeAttributesClassName is not nil"
    )
    return [fields.forbidden(f"spec.{key}", detail)]


def _with_size(spec: Obj, size: Any) -> Obj:
    resources = spec.get("resources") or {}
    return {**resources, "requests": {**(resources.get("requests") or {}), "storage": size}}


def _size(spec: Obj) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _amount(size: Any) -> Any:
    return quantity.parse(size) if quantity.is_valid(size) else 0


def _plain(spec: Obj) -> Obj:
    return {key: value for key, value in spec.items() if value not in (None, {}, [])}


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a claim's status."""
    del old
    status = meta.status(new)
    causes: list[Cause] = []
    if not meta.spec(new).get("accessModes"):
        causes.append(fields.required("Spec.accessModes"))
    for name, value in (status.get("capacity") or {}).items():
        causes += amounts.non_negative_quantity(f"status.capacity[{name}]", value)
    path = "status.allocatedResourceStatuses"
    for name, value in (status.get("allocatedResourceStatuses") or {}).items():
        causes += _resource_key(name, path)
        if value not in _RESIZE_STATUSES:
            causes.append(fields.not_supported(path, name, _RESIZE_STATUSES))
    path = "status.allocatedResources"
    for name, value in (status.get("allocatedResources") or {}).items():
        causes += _resource_key(name, path)
        causes += amounts.non_negative_quantity(f"{path}[{name}]", value)
    return causes


def _resource_key(name: str, path: str) -> list[Cause]:
    problems = names.qualified_name(name)
    if problems:
        return fields.each(path, name, problems)
    is_native = "/" not in name or name.startswith("kubernetes.io/")
    if is_native and name != "storage":
        return [fields.not_supported(path, name, ["storage"])]
    return []


def short_modes(modes: Sequence[str] | None) -> str:
    """Access modes as tables show them: `RWO,ROX`, each once, in a fixed order."""
    given = set(modes or ())
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in given)


def storage_class_of(obj: Obj) -> str:
    """The storage class of a claim or volume: the annotation of old clients goes before the field."""
    noted = meta.annotations(obj).get(BETA_CLASS)
    return noted if noted is not None else str(meta.spec(obj).get("storageClassName") or "")


def phase_cell(obj: Obj, now: float) -> str:
    """The phase, or `Terminating`."""
    return "Terminating" if meta.is_deleting(obj) else cells.phase(obj, now)


def _capacity(obj: Obj, now: float) -> str:
    if not meta.spec(obj).get("volumeName"):
        return ""
    return str((meta.status(obj).get("capacity") or {}).get("storage") or "0")


def _modes(obj: Obj, now: float) -> str:
    if not meta.spec(obj).get("volumeName"):
        return ""
    return short_modes(meta.status(obj).get("accessModes"))


def class_cell(obj: Obj, now: float) -> str:
    """The storage class."""
    return storage_class_of(obj)


COLUMNS = (
    NAME,
    text("Status", phase_cell, "The phase the claim is in."),
    text("Volume", cells.field("spec.volumeName"), "The volume bound to it."),
    text("Capacity", _capacity, "The size of that volume."),
    text("Access Modes", _modes, "How that volume can be mounted."),
    text("StorageClass", class_cell, "The storage class asked for."),
    text(
        "VolumeAttributesClass",
        or_text("spec.volumeAttributesClassName", "<unset>"),
        "The volume attributes class asked for.",
    ),
    AGE,
    text("VolumeMode", or_text("spec.volumeMode", "<unset>"), "Files or blocks.", is_wide=True),
)


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and should not be written any more."""
    del old
    return _annotation_warnings(obj) + spec_warnings(meta.spec(obj), "spec")


def _annotation_warnings(obj: Obj) -> list[str]:
    if BETA_CLASS not in meta.annotations(obj):
        return []
    return [
        f"metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; "
        'use "storageClassName" attribute instead'
    ]


def spec_warnings(spec: Obj, path: str) -> list[str]:
    """Sizes that are no whole number of bytes."""
    found = []
    for key in ("requests", "limits"):
        size = ((spec.get("resources") or {}).get(key) or {}).get("storage")
        if quantity.is_valid(size) and quantity.parse(size).denominator != 1:
            shown = quantity.canonical(size)
            found.append(
                f"{path}.resources.{key}[storage]: fractional byte value "
                f'"{shown}" is invalid, must be an integer'
            )
    return found


class ClaimStrategy(Strategy):
    """The rules of claims."""

    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new claim is pending; both spellings of its data source are kept alike."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Pending"}
        spec = part(obj, "spec")
        _drop_unknown_source(spec, {})
        normalize_sources(spec)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Both spellings of the data source are kept alike."""
        super().prepare_for_update(obj, live)
        spec = part(obj, "spec")
        _drop_unknown_source(spec, meta.spec(live))
        normalize_sources(spec)


def _drop_unknown_source(spec: Obj, old: Obj) -> None:
    """Drop a dataSource of a sort that old clients could not mean; dataSourceRef takes all sorts."""
    if any(old.get(key) for key in ("dataSource", "dataSourceRef")):
        return
    source = spec.get("dataSource") or {}
    known = ("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")
    if (
        not spec.get("dataSourceRef")
        and (source.get("apiGroup") or "", source.get("kind")) not in known
    ):
        spec.pop("dataSource", None)


def normalize_sources(spec: Obj) -> None:
    """Write each of dataSource and dataSourceRef from the other, unless it points to another namespace."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = {
            key: reference[key] for key in ("apiGroup", "kind", "name") if key in reference
        }


KIND = Kind(
    PERSISTENT_VOLUME_CLAIMS,
    strategy=ClaimStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=COLUMNS,
    warnings=warnings,
)
