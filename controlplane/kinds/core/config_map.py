"""ConfigMaps: configuration as keys and values."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import data

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", short_names=("cm",))


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    size = 0
    texts, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key, value in sorted(texts.items()):
        causes += fields.each(f"data[{key}]", key, names.config_key(key))
        size += len(str(value).encode())
        if key in binary:
            detail = "duplicate of key present in binaryData"
            causes.append(fields.invalid(f"data[{key}]", key, detail))
    for key, value in sorted(binary.items()):
        causes += fields.each(f"binaryData[{key}]", key, names.config_key(key))
        size += data.length(value)
    if size > data.MAX_BYTES:
        causes.append(fields.too_long("[]", data.MAX_BYTES))
    return causes


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    return data.kept_when_immutable(new, old, "data", "binaryData") + _validate(new)


def _config_map_data(obj: Obj, now: float) -> int:
    """Number of keys, text and binary."""
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


_COLUMNS = (
    NAME,
    Column("Data", _config_map_data, documented_as=("io.k8s.api.core.v1.ConfigMap", "data")),
    AGE,
)


KIND = Kind(
    CONFIG_MAPS,
    validate=_validate,
    validate_update=_validate_update,
    validates_update_alone=True,
    columns=_COLUMNS,
)
