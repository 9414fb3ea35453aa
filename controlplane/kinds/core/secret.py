"""Secrets: configuration that must not be shown."""

from __future__ import annotations

import base64
from typing import Any

from controlplane.api import go_json, meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import data, key_pair

SECRETS = Resource("", "v1", "Secret", "secrets", field_labels=("type",))


def _default(obj: Obj) -> None:
    set_missing(obj, "type", "Opaque")
    texts = obj.pop("stringData", None)
    if texts:
        values = part(obj, "data")
        for key, value in texts.items():
            values[key] = base64.b64encode(str(value or "").encode()).decode()


_NOT_SHOWN = "<secret contents redacted>"
_ACCOUNT = "kubernetes.io/service-account.name"
_DOCUMENTS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    values = obj.get("data") or {}
    size = 0
    for key, value in sorted(values.items()):
        causes += fields.each(f"data[{key}]", key, names.config_key(key))
        size += data.length(value)
    if size > data.MAX_BYTES:
        causes.append(fields.too_long("data", data.MAX_BYTES))
    return causes + _by_type(obj, str(obj.get("type") or ""), values)


def _by_type(obj: Obj, kind: str, values: dict[str, Any]) -> list[Cause]:
    """What a secret of a type that programs know must hold."""
    if kind in _DOCUMENTS:
        return _json_document(_DOCUMENTS[kind], values)
    if kind == "kubernetes.io/service-account-token" and not meta.annotations(obj).get(_ACCOUNT):
        return [fields.required(f"metadata.annotations[{_ACCOUNT}]")]
    if kind == "kubernetes.io/basic-auth":
        keys = ("username", "password")
        missing = [] if any(key in values for key in keys) else keys
    elif kind == "kubernetes.io/ssh-auth":
        missing = [] if values.get("ssh-privatekey") else ["ssh-privatekey"]
    elif kind == "kubernetes.io/tls":
        missing = [key for key in ("tls.crt", "tls.key") if key not in values]
    else:
        missing = []
    return [fields.required(f"data[{key}]") for key in missing]


def _json_document(key: str, values: dict[str, Any]) -> list[Cause]:
    if key not in values:
        return [fields.required(f"data[{key}]")]
    problem = go_json.object_problem(base64.b64decode(values[key] or ""))
    return [fields.invalid(f"data[{key}]", _NOT_SHOWN, problem)] if problem else []


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if new.get("type") != old.get("type"):
        causes.append(fields.immutable("type", new.get("type")))
    return causes + data.kept_when_immutable(new, old, "data") + _validate(new)


def _warnings(obj: Obj, old: Obj | None) -> list[str]:
    del old
    if obj.get("type") != "kubernetes.io/tls":
        return []
    values = obj.get("data") or {}
    problem = key_pair.problem(
        *(base64.b64decode(values.get(key) or "") for key in ("tls.crt", "tls.key"))
    )
    return [problem] if problem else []


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
    Column("Type", cells.field("type"), documented_as=("io.k8s.api.core.v1.Secret", "type")),
    Column("Data", _secret_data, documented_as=("io.k8s.api.core.v1.Secret", "data")),
    AGE,
)


KIND = Kind(
    SECRETS,
    strategy=_SecretStrategy,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validates_update_alone=True,
    warnings=_warnings,
    columns=_COLUMNS,
)
