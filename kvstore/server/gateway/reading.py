"""JSON to protobuf messages, by the rules of the gateway that etcd uses (golang/protobuf's jsonpb).

Names are the proto's or lower camel case (which wins); unknown ones are passed over. Fields are set in the order of
their declaration, so of two members of a oneof the later declared one stays. 64-bit numbers may be strings; bytes are
base64, or an array of numbers; an enum is its name or number; null leaves a field alone. Texts of errors are Go's,
as read off etcd 3.5.1's answers.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kvstore.server.gateway.scanner import (
    TOO_DEEP,
    UNEXPECTED_END,
    JsonError,
    Number,
    loads,
)
from kvstore.server.gateway.writing import enum_of

_MAP_TYPE = "map[string]json.RawMessage"
_LIST_TYPE = "[]json.RawMessage"
_BYTES_TYPE = "[]uint8"
_ENUM_TYPE = "protoreflect.EnumNumber"

_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_PAD = 0x3D
_NEWLINES = b"\r\n"

_RANGES: dict[int, tuple[str, int, int]] = {
    FieldDescriptor.TYPE_INT32: ("int32", -(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: ("int64", -(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: ("uint32", 0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: ("uint64", 0, (1 << 64) - 1),
}


def fill(message: Message, value: Any) -> None:
    """Set the fields of `message` from a document. Raises JsonError."""
    try:
        _fill(message, value)
    except RecursionError:
        raise JsonError(TOO_DEEP) from None


def _fill(message: Message, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise _mismatch(value, _MAP_TYPE)
    for field in message.DESCRIPTOR.fields:
        raw = value.get(field.json_name)
        if raw is None:
            raw = value.get(field.name)
        if raw is None:
            continue
        if field.is_repeated:
            if not isinstance(raw, list):
                raise _mismatch(raw, _LIST_TYPE)
            into = getattr(message, field.name)
            for one in raw:
                if field.message_type is not None:
                    _fill(into.add(), one)
                else:
                    into.append(_scalar(field, one))
        elif field.message_type is not None:
            part = getattr(message, field.name)
            part.SetInParent()
            _fill(part, raw)
        else:
            setattr(message, field.name, _scalar(field, raw))


def _scalar(field: Any, value: Any) -> Any:
    return _SCALARS[field.type](field, value)


def _integer(field: FieldDescriptor, value: Any) -> int:
    name, low, high = _RANGES[field.type]
    if isinstance(value, str):
        # Go takes the quotes off and reads what is between them as JSON.
        if not value:
            raise JsonError(UNEXPECTED_END)
        value = loads(value)
    return _bounded(value, name, low, high)


def _bounded(value: Any, name: str, low: int, high: int) -> int:
    if value is None:
        return 0
    if not isinstance(value, Number):
        raise _mismatch(value, name)
    # Short texts only: very long ones are out of range anyway, and costly to read.
    number = int(value) if value.lstrip(b"-").isdigit() and len(value) <= 20 else None
    if number is None or not low <= number <= high:
        raise JsonError(
            f"json: cannot unmarshal number {value.decode()} into Go value of type {name}"
        )
    return number


def _enum(field: FieldDescriptor, value: Any) -> int:
    if isinstance(value, str):
        enum = enum_of(field)
        found = enum.values_by_name.get(value)
        if found is None:
            quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            escaped = quoted.replace("\\", "\\\\").replace('"', '\\"')
            raise JsonError(f'unknown value "{escaped}" for enum {enum.full_name}')
        return int(found.number)
    return _bounded(value, _ENUM_TYPE, -(1 << 31), (1 << 31) - 1)


def _boolean(_: FieldDescriptor, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _mismatch(value, "bool")
    return value


def _text(_: FieldDescriptor, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _mismatch(value, "string")
    # Half of a surrogate pair cannot be in a protobuf string; Go puts the replacement character.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bytes(_: FieldDescriptor, value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, list):
        return bytes(_bounded(one, "uint8", 0, 255) for one in value)
    if not isinstance(value, str):
        raise _mismatch(value, _BYTES_TYPE)
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return decode_base64(value.encode("utf-8", "replace"))


def decode_base64(data: bytes) -> bytes:
    """Standard base64 where line breaks do not count. Raises JsonError with the offset that Go would name."""
    kept = bytearray()
    at, size = 0, len(data)
    while True:
        filled = 0
        start = len(kept)
        while filled < 4:
            if at == size:
                if filled == 0:
                    return base64.b64decode(bytes(kept))
                raise _corrupt(at - filled)
            byte = data[at]
            at += 1
            if byte in _ALPHABET:
                kept.append(byte)
                filled += 1
            elif byte in _NEWLINES:
                continue
            elif byte != _PAD or filled < 2:
                raise _corrupt(at - 1)
            else:
                at = _padding(data, at, filled)
                kept.extend(b"=" * (4 - (len(kept) - start)))
                return base64.b64decode(bytes(kept))


def _padding(data: bytes, at: int, filled: int) -> int:
    """Check what follows the first pad character."""
    size = len(data)
    if filled == 2:
        at = _skip_newlines(data, at)
        if at == size:
            raise _corrupt(size)
        if data[at] != _PAD:
            raise _corrupt(at - 1)
        at += 1
    at = _skip_newlines(data, at)
    if at < size:
        raise _corrupt(at)
    return at


def _skip_newlines(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in _NEWLINES:
        at += 1
    return at


def _corrupt(offset: int) -> JsonError:
    return JsonError(f"illegal base64 data at input byte {offset}")


def _mismatch(value: Any, wanted: str) -> JsonError:
    if isinstance(value, Number):
        kind = "number"
    elif isinstance(value, str):
        kind = "string"
    elif isinstance(value, bool):
        kind = "bool"
    elif isinstance(value, list):
        kind = "array"
    else:
        kind = "object"
    return JsonError(f"json: cannot unmarshal {kind} into Go value of type {wanted}")


_SCALARS: dict[int, Callable[[FieldDescriptor, Any], Any]] = {
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_ENUM: _enum,
    FieldDescriptor.TYPE_INT32: _integer,
    FieldDescriptor.TYPE_INT64: _integer,
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_UINT32: _integer,
    FieldDescriptor.TYPE_UINT64: _integer,
}
