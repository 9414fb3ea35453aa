"""Decode Kubernetes protobuf request bodies into the JSON form of objects.

Clients built on client-go 0.32 and later (kubectl 1.32) send typed writes only in this form and do
not fall back to JSON; replies are always JSON, so nothing is encoded here.

A body is the four bytes `k8s\\0`, then runtime.Unknown {typeMeta, raw}, then the message. Field
numbers and types come from data/protobuf-1.32.json (message -> field -> [number, type]), which
holds the messages our kinds reach. What differs from plain protobuf is in `_SPECIAL` and
`_INLINED`. Empty strings and zero times are dropped; zero numbers and false are kept but for the
fields in `_OMITTED_WHEN_ZERO`, since a pointer to zero is a value (replicas: 0).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from controlplane.api import times
from controlplane.api.errors import BadRequest, UnsupportedMediaType

Object = dict[str, Any]
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_API = "k8s.io.api."
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
# Group names whose Go package is called otherwise.
_PACKAGES = {"": "core", "coordination.k8s.io": "coordination"}

# Embedded Go structs: on the wire a message of their own, in JSON part of the parent.
_INLINED = frozenset(
    {
        "volumeSource",
        "handler",
        "ephemeralContainerCommon",
        "localObjectReference",
        "persistentVolumeSource",
    }
)

# Plain Go numbers and booleans, which the encoder always writes and JSON leaves out when zero.
# Only fields that are pointers nowhere in our messages: elsewhere zero is a value (replicas: 0).
_OMITTED_WHEN_ZERO = frozenset(
    {
        "availableReplicas",
        "count",
        "failureThreshold",
        "fullyLabeledReplicas",
        "generation",
        "healthCheckNodePort",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostPort",
        "initialDelaySeconds",
        "minReadySeconds",
        "nodePort",
        "observedGeneration",
        "paused",
        "periodSeconds",
        "publishNotReadyAddresses",
        "readOnly",
        "readyReplicas",
        "stdin",
        "stdinOnce",
        "successThreshold",
        "timeoutSeconds",
        "tty",
        "unavailableReplicas",
        "unschedulable",
        "updatedReplicas",
    }
)


@cache
def _messages() -> dict[str, dict[int, tuple[str, str]]]:
    path = files("controlplane.api.data").joinpath("protobuf-1.32.json")
    raw: dict[str, dict[str, list[Any]]] = json.loads(path.read_bytes())
    return {
        message: {int(number): (name, str(kind)) for name, (number, kind) in fields.items()}
        for message, fields in raw.items()
    }


def decode(body: bytes) -> Object:
    """The object of a request body, with apiVersion and kind; BadRequest when it is damaged."""
    if not body.startswith(MAGIC):
        raise BadRequest("the body is not Kubernetes protobuf: it does not start with its prefix")
    api_version = kind = ""
    raw = b""
    try:
        for number, value in _fields(body[4:]):
            if number == 1 and isinstance(value, bytes):
                type_meta = dict(_fields(value))
                api_version = _text(type_meta.get(1))
                kind = _text(type_meta.get(2))
            elif number == 2 and isinstance(value, bytes):
                raw = value
        message = _message_of(api_version, kind)
        if message not in _messages():
            raise UnsupportedMediaType(MEDIA_TYPE, ["application/json", "application/yaml"])
        return {"kind": kind, "apiVersion": api_version, **_message(message, raw)}
    except (ValueError, IndexError, RecursionError) as error:
        raise BadRequest(f"the protobuf body cannot be decoded: {error}") from error


def _text(value: int | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _message_of(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind == "DeleteOptions":
        return _META + kind
    return f"{_API}{_PACKAGES.get(group, group)}.{version}.{kind}"


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, position = _varint(data, position)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, position = _varint(data, position)
            value = data[position : position + length]
            if len(value) != length:
                raise ValueError("the body ends inside a field")
            position += length
        else:
            raise ValueError(f"unknown wire type {wire}")
        yield key >> 3, value


def _message(message: str, data: bytes) -> Object:
    result: Object = {}
    known = _messages()[message]
    for number, value in _fields(data):
        row = known.get(number)
        if row is None:
            continue  # a field of a newer release: unknown to our schema as well
        name, kind = row
        if kind.startswith("repeated "):
            result.setdefault(name, []).extend(_repeated(kind.removeprefix("repeated "), value))
        elif kind.startswith("map<"):
            value_kind = kind[4:-1].split(",", 1)[1]
            key, item = _map_entry(value_kind, value)
            result.setdefault(name, {})[key] = item
        else:
            item = _value(kind, value)
            if name in _INLINED and isinstance(item, dict):
                result.update(item)
            elif item is None or item == "" or (not item and name in _OMITTED_WHEN_ZERO):
                continue
            else:
                result[name] = item
    return result


def _repeated(kind: str, value: int | bytes) -> list[Any]:
    if kind in ("int32", "int64") and isinstance(value, bytes):
        items = []
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            items.append(_signed(number))
        return items
    return [_value(kind, value)]


def _map_entry(kind: str, data: int | bytes) -> tuple[str, Any]:
    if not isinstance(data, bytes):
        raise ValueError("a map entry is not a message")
    key, item = "", _value(kind, b"" if kind not in ("int32", "int64", "bool") else 0)
    for number, value in _fields(data):
        if number == 1:
            key = _text(value)
        elif number == 2:
            item = _value(kind, value)
    return key, item


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _value(kind: str, value: int | bytes) -> Any:
    if kind in ("int32", "int64", "bool"):
        if not isinstance(value, int):
            raise ValueError(f"a {kind} has the wrong wire type")
        return bool(value) if kind == "bool" else _signed(value)
    if not isinstance(value, bytes):
        raise ValueError(f"a {kind} has the wrong wire type")
    if kind == "string":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    special = _SPECIAL.get(kind)
    return special(value) if special is not None else _message(kind, value)


def _number(fields: dict[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    return _signed(value) if isinstance(value, int) else 0


def _time(data: bytes) -> str | None:
    seconds = _number(dict(_fields(data)), 1)
    return times.to_rfc3339(seconds) if data and seconds else None


def _micro_time(data: bytes) -> str | None:
    fields = dict(_fields(data))
    seconds = _number(fields, 1)
    return times.to_micro(seconds + _number(fields, 2) / 1e9) if data and seconds else None


def _quantity(data: bytes) -> str:
    return _text(dict(_fields(data)).get(1)) or "0"


def _int_or_string(data: bytes) -> int | str:
    fields = dict(_fields(data))
    return _text(fields.get(3)) if _number(fields, 1) == 1 else _number(fields, 2)


def _json(data: bytes) -> Any:
    raw = dict(_fields(data)).get(1)
    return json.loads(raw) if isinstance(raw, bytes) and raw else None


_SPECIAL: dict[str, Callable[[bytes], Any]] = {
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "FieldsV1": _json,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _json,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": _quantity,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
}
