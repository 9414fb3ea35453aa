"""Secrets: configuration that must not be shown."""

from __future__ import annotations

import base64

from controlplane.api import names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import data

SECRETS = Resource("", "v1", "Secret", "secrets", field_labels=("type",))


def _default(obj: Obj) -> None:
    set_missing(obj, "type", "Opaque")
    texts = obj.pop("stringData", None)
    if texts:
        values = part(obj, "data")
        for key, value in texts.items():
            values[key] = base64.b64encode(str(value or "").encode()).decode()


_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    values = obj.get("data") or {}
    size = 0
    for key, value in values.items():
        causes += fields.each(f"data[{key}]", key, names.config_key(key))
        causes += data.base64_text(value, f"data[{key}]")
        size += len(str(value or "")) * 3 // 4
    if size > data.MAX_BYTES:
        causes.append(fields.too_long("data", data.MAX_BYTES))
    for key in _SECRET_KEYS.get(str(obj.get("type")), ()):
        if key not in values:
            causes.append(fields.required(f"data[{key}]"))
    return causes


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    causes = data.kept_when_immutable(new, old)
    if new.get("type") != old.get("type"):
        causes.append(fields.immutable("type", new.get("type")))
    return causes


class _SecretStrategy(Strategy):
    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Keep the type that was not given."""
        super().prepare_for_update(obj, live)
        if not obj.get("type") and live.get("type"):
            obj["type"] = live["type"]


def _secret_data(obj: Obj, now: float) -> int:
    """Number of keys."""
    return len(obj.get("data") or ())


_COLUMNS = (
    NAME,
    Column("Type", cells.field("type"), description="What kind of secret it is."),
    Column("Data", _secret_data, type="integer", description="Number of keys."),
    AGE,
)


KIND = Kind(
    SECRETS,
    strategy=_SecretStrategy,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=_COLUMNS,
)
