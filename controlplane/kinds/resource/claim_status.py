"""The status of a claim: which devices it got, who uses them, and what their drivers say of them.

Source: pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

import ipaddress

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.conditions import validate_conditions
from controlplane.api.validation.equality import is_same
from controlplane.kinds.core.node_selector import validate_node_selector
from controlplane.kinds.core.volume_sources import driver_name
from controlplane.kinds.resource.configuration import (
    MAX_CONFIG,
    validate_binding_conditions,
    validate_configuration,
    validate_data,
)
from controlplane.kinds.resource.identifiers import pool_name, share_id
from controlplane.kinds.resource.lists import validate_items, validate_set
from controlplane.kinds.resource.requests import MAX_REQUESTS, names_of, validate_name

_MAX_USERS = 256
_MAX_RESULTS = 32
_MAX_CONDITIONS = 8
_MAX_ADDRESSES = 16
_SOURCES = ("FromClaim", "FromClass")


def validate(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a written status."""
    status, before = meta.status(new), meta.status(old)
    users, allocation = status.get("reservedFor") or [], status.get("allocation")
    causes = validate_set(
        "status.reservedFor", users, _MAX_USERS, _user, lambda row: row.get("uid") or ""
    )
    results = ((allocation or {}).get("devices") or {}).get("results") or ()
    allocated = frozenset(_device_of(row) for row in results)

    def device(path: str, row: Obj) -> list[Cause]:
        return _device(path, row, allocated)

    causes += validate_set("status.devices", status.get("devices"), -1, device, _device_of)
    if users and allocation is None:
        detail = "may not be specified when `allocated` is not set"
        causes.append(fields.forbidden("status.reservedFor", detail))
    elif meta.is_deleting(new) and any(
        row not in (before.get("reservedFor") or ()) for row in users
    ):
        detail = (
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` "
            "are set"
        )
        causes.append(fields.forbidden("status.reservedFor", detail))
    if allocation is None:
        return causes
    if before.get("allocation") is None:
        return causes + _allocation(allocation, names_of(meta.spec(new)))
    if not is_same(allocation, before["allocation"]):
        causes.append(fields.immutable("status.allocation", allocation))
    return causes


def _user(path: str, row: Obj) -> list[Cause]:
    keys = ("resource", "name", "uid")
    return [fields.required(f"{path}.{key}") for key in keys if not row.get(key)]


def _device_of(row: Obj) -> str:
    """A device as messages name it."""
    words = [str(row.get(key) or "") for key in ("driver", "pool", "device")]
    if row.get("shareID"):
        words.append(str(row["shareID"]))
    return "/".join(words)


def _allocation(allocation: Obj, known: frozenset[str]) -> list[Cause]:
    path, devices = "status.allocation.devices", allocation.get("devices") or {}

    def result(where: str, row: Obj) -> list[Cause]:
        causes = validate_name(f"{where}.request", row.get("request") or "", known)
        causes += _place(where, row) + validate_binding_conditions(where, row)
        if row.get("shareID") is not None:
            causes += share_id(f"{where}.shareID", row["shareID"])
        return causes

    def request_name(where: str, name: str) -> list[Cause]:
        return validate_name(where, name, known)

    def config(where: str, row: Obj) -> list[Cause]:
        source = row.get("source") or ""
        causes = [] if source else [fields.required(f"{where}.source")]
        if source and source not in _SOURCES:
            causes.append(fields.not_supported(f"{where}.source", source, _SOURCES))
        named = f"{where}.requests"
        causes += validate_set(named, row.get("requests"), MAX_REQUESTS, request_name)
        return causes + validate_configuration(where, row)

    causes = validate_items(f"{path}.results", devices.get("results"), _MAX_RESULTS, result)
    causes += validate_items(f"{path}.config", devices.get("config"), 2 * MAX_CONFIG, config)
    if allocation.get("nodeSelector") is not None:
        where = "status.allocation.nodeSelector"
        causes += validate_node_selector(where, allocation["nodeSelector"])
    return causes


def _place(path: str, row: Obj) -> list[Cause]:
    """Driver, pool and name of a device."""
    device = row.get("device") or ""
    causes = driver_name(row.get("driver"), f"{path}.driver")
    causes += pool_name(f"{path}.pool", row.get("pool") or "")
    return causes + fields.each(f"{path}.device", device, names.dns_label(device))


def _device(path: str, row: Obj, allocated: frozenset[str]) -> list[Cause]:
    causes = _place(path, row)
    if row.get("shareID") is not None:
        causes += share_id(f"{path}.shareID", row["shareID"])
    if _device_of(row) not in allocated:
        detail = "must be an allocated device in the claim"
        causes.append(fields.invalid(path, _device_of(row), detail))
    conditions, where = row.get("conditions") or [], f"{path}.conditions"
    if len(conditions) > _MAX_CONDITIONS:
        causes.append(fields.too_many(where, len(conditions), _MAX_CONDITIONS))
    causes += validate_conditions(where, conditions)
    if row.get("data") is not None:
        causes += validate_data(f"{path}.data", row["data"])
    return causes + _network(f"{path}.networkData", row.get("networkData") or {})


def _network(path: str, row: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, limit in (("interfaceName", 256), ("hardwareAddress", 128)):
        if len((row.get(key) or "").encode()) > limit:
            causes.append(fields.too_long(f"{path}.{key}", limit))
    return causes + validate_set(f"{path}.ips", row.get("ips"), _MAX_ADDRESSES, _interface)


def _interface(path: str, text: str) -> list[Cause]:
    """An address with the length of its network, in the shortest form."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text:
        detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [fields.invalid(path, text, detail)]
    if str(found) == text:
        return []
    return [fields.invalid(path, text, f'must be in canonical form ("{found}")')]
