"""Protobuf messages to JSON, byte for byte as etcd's gateway writes it.

Fields go out in the order of their declaration under the proto's own names; what has its default is left out. 64-bit
numbers are strings, 32-bit ones numbers, bytes base64, enums names. Strings escape `<`, `>` and `&` as Go does.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


def text_of(value: str) -> str:
    """A string as Go's encoding/json writes it."""
    quoted = json.dumps(value, ensure_ascii=False)
    if "\\b" in quoted or "\\f" in quoted:
        # Go has no short form of these two; a backslash of the string itself is doubled and stays.
        parts = quoted.split("\\\\")
        quoted = "\\\\".join(
            part.replace("\\b", "\\u0008").replace("\\f", "\\u000c") for part in parts
        )
    return quoted.translate(_ESCAPES)


def to_json(message: Message) -> str:
    """The message as JSON text."""
    parts = []
    for field, value in sorted(message.ListFields(), key=_declared):
        write = _WRITERS[field.type]
        if field.is_repeated:
            shown = "[" + ",".join(write(field, one) for one in value) + "]"
        else:
            shown = write(field, value)
        parts.append(f'"{field.name}":{shown}')
    return "{" + ",".join(parts) + "}"


def _declared(listed: tuple[FieldDescriptor, Any]) -> int:
    return listed[0].index


def _message(_: FieldDescriptor, value: Any) -> str:
    return to_json(value)


def _wide(_: FieldDescriptor, value: Any) -> str:
    return f'"{value}"'


def _narrow(_: FieldDescriptor, value: Any) -> str:
    return str(value)


def _boolean(_: FieldDescriptor, value: Any) -> str:
    return "true" if value else "false"


def _bytes(_: FieldDescriptor, value: Any) -> str:
    return '"' + base64.b64encode(value).decode("ascii") + '"'


def _enum(field: FieldDescriptor, value: Any) -> str:
    known = enum_of(field).values_by_number.get(value)
    return str(value) if known is None else f'"{known.name}"'


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """The enum of an enum field."""
    found = field.enum_type
    if found is None:
        raise TypeError(f"{field.full_name} is no enum")
    return found


def _text(_: FieldDescriptor, value: Any) -> str:
    return text_of(value)


_WRITERS: dict[int, Callable[[FieldDescriptor, Any], str]] = {
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_ENUM: _enum,
    FieldDescriptor.TYPE_INT32: _narrow,
    FieldDescriptor.TYPE_INT64: _wide,
    FieldDescriptor.TYPE_MESSAGE: _message,
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_UINT32: _narrow,
    FieldDescriptor.TYPE_UINT64: _wide,
}
