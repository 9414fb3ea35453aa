"""Kubernetes' protobuf: objects, lists, Statuses and watch frames as the original's Go clients and servers write them.

A body is the four bytes `k8s\\0`, then runtime.Unknown {typeMeta, raw, contentEncoding, contentType}, then the message.
A frame of a watch is its length in four bytes (big end first) and a WatchEvent, whose object is such a body.

Reading gives the JSON form without zero values that JSON leaves out; what JSON always has is added by
`schema.normal`, which every body of a request goes through. Writing gives the very bytes of the original's generated
code: plain values and structs stand there even when zero, pointers, lists and maps only when set, keys of maps in
order.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError

from controlplane.api import times
from controlplane.api.errors import BadRequest, UnsupportedMediaType
from controlplane.api.meta import Obj
from controlplane.api.schema import messages
from controlplane.api.schema.messages import Field, Label
from controlplane.api.wire import descriptors

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_UNKNOWN = "k8s.io.apimachinery.pkg.runtime.Unknown"
_WATCH_EVENT = messages.META + "WatchEvent"
_SCHEMA = messages.SCHEMA_OR_ARRAY.removesuffix("OrArray")

Reader = Callable[[Any], Any]
Writer = Callable[[Any, Any], None]


def decode(body: bytes) -> Obj:
    """The object of a request body, with apiVersion and kind; BadRequest when it is damaged."""
    if not body.startswith(MAGIC):
        raise BadRequest("the body is not Kubernetes protobuf: it does not start with its prefix")
    envelope = descriptors.message_class(_UNKNOWN)()
    try:
        envelope.ParseFromString(body[4:])
    except DecodeError:
        raise BadRequest("unexpected EOF") from None
    try:
        api_version = _text(envelope.typeMeta.apiVersion)
        kind = _text(envelope.typeMeta.kind)
    except ValueError as error:
        raise BadRequest(f"the protobuf body cannot be decoded: {error}") from None
    message = messages.message_of(api_version, kind)
    if message is None:
        raise UnsupportedMediaType(MEDIA_TYPE, ["application/json", "application/yaml"])
    try:
        raw = descriptors.message_class(message.name).FromString(envelope.raw)
        return {"kind": kind, "apiVersion": api_version, **codec(message.name).read(raw)}
    except (DecodeError, ValueError, OverflowError) as error:
        raise BadRequest(f"the protobuf body cannot be decoded: {error}") from None


def encode(obj: Mapping[str, Any]) -> bytes:
    """The body of an object or list; ValueError for types without a protobuf form."""
    api_version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
    message = messages.message_of(api_version, kind)
    if message is None:
        raise ValueError(f"{api_version} {kind} has no protobuf form")
    made = codec(message.name).make(obj)
    envelope = descriptors.message_class(_UNKNOWN)()
    envelope.typeMeta.apiVersion = api_version
    envelope.typeMeta.kind = kind
    envelope.raw = made.SerializeToString(deterministic=True)
    envelope.contentEncoding = envelope.contentType = ""
    return MAGIC + bytes(envelope.SerializeToString(deterministic=True))


def watch_frame(kind: str, encoded: bytes) -> bytes:
    """One event of a watch: `kind` is ADDED, MODIFIED, ...; `encoded` the object's body."""
    event = descriptors.message_class(_WATCH_EVENT)()
    event.type = kind
    event.object.raw = encoded
    frame = bytes(event.SerializeToString())
    return struct.pack(">I", len(frame)) + frame


class Codec:
    """One message's way in and out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._class = descriptors.message_class(name)
        # By number: (JSON name, reader, whether an empty value is left out).
        self._readers: dict[int, tuple[str, Reader, bool]] = {}
        self._writers: dict[str, Writer] = {}
        self._zero: bytes | None = None

    def compile(self) -> None:
        """Fill the tables; apart from construction, since types may hold themselves."""
        for field in messages.message(self.name).fields:
            if field.json_name == "-":
                continue
            if field.json_name == "~inline":
                inner = codec(field.type)
                self._readers[field.number] = ("", inner.read, False)
                for key, writer in inner._writers.items():
                    self._writers[key] = _inside(field.name, writer)
                continue
            drops = field.rule in ("o", "z") and (
                not field.is_message or field.label is not Label.ONE
            )
            self._readers[field.number] = (field.json_name, _reader(field), drops)
            self._writers[field.json_name] = _writer(field)

    def read(self, message: Any) -> Obj:
        """The JSON form of a message."""
        result: Obj = {}
        readers = self._readers
        for descriptor, value in message.ListFields():
            row = readers.get(descriptor.number)
            if row is None:
                continue
            name, read, drops = row
            item = read(value)
            if not name:
                result.update(item)
            elif item is None or (drops and (item == "" or item is False or item == 0)):
                continue
            else:
                result[name] = item
        return result

    def make(self, obj: Mapping[str, Any]) -> Any:
        """A new message with what `obj` says."""
        message = self._class()
        self.fill(message, obj)
        return message

    def fill(self, message: Any, obj: Mapping[str, Any]) -> None:
        """Set an empty message to what `obj` says; fields the type does not have are left out."""
        message.MergeFromString(self.zero)
        writers = self._writers
        for key, value in obj.items():
            if value is not None:
                writer = writers.get(key)
                if writer is not None:
                    writer(message, value)

    @property
    def zero(self) -> bytes:
        """The message when nothing is set: plain values and structs are written all the same."""
        if self._zero is None:
            self._zero = b""
            message = self._class()
            for field in messages.message(self.name).fields:
                if field.label is Label.ONE:
                    _set_zero(message, field)
            self._zero = bytes(message.SerializeToString())
        return self._zero


@cache
def _compiled() -> dict[str, Codec]:
    return {}


def codec(name: str) -> Codec:
    """The way in and out of the message of that full name."""
    known = _compiled()
    found = known.get(name)
    if found is None:
        found = known[name] = Codec(name)
        found.compile()
    return found


def _set_zero(message: Any, field: Field) -> None:
    if field.is_pointer or field.type == "bytes":
        return
    if not field.is_message:
        setattr(message, field.name, {"string": "", "bool": False}.get(field.type, 0))
        return
    if field.type.endswith(messages.STRING_LISTS):
        return
    inner = getattr(message, field.name)
    inner.SetInParent()
    if field.type == messages.QUANTITY:
        inner.string = "0"
    elif field.type == messages.INT_OR_STRING:
        _write_int_or_string(inner, 0)
    elif field.type not in _SPECIAL:
        inner.MergeFromString(codec(field.type).zero)


def _inside(name: str, writer: Writer) -> Writer:
    return lambda message, value: writer(getattr(message, name), value)


def _reader(field: Field) -> Reader:
    read = _element_reader(field.type)
    if field.label is Label.ONE:
        return read
    if field.label is Label.MAP:
        return lambda rows: {_text(key): read(value) for key, value in rows.items()}
    if read is _same:
        return list
    return lambda rows: [read(value) for value in rows]


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    # Text of proto2 that is not UTF-8 comes as bytes.
    if type(value) is not str:
        raise ValueError("a text is not UTF-8")
    return value


def _element_reader(kind: str) -> Reader:
    if kind == "bytes":
        return lambda value: base64.b64encode(value).decode()
    if kind == "string":
        return _text
    if "." not in kind:
        return _same
    if kind.endswith(messages.STRING_LISTS):
        return lambda value: list(value.items)
    special = _SPECIAL.get(kind)
    if special is not None:
        return special[0]
    return _lazily(kind)


def _lazily(kind: str) -> Reader:
    found: list[Callable[[Any], Any]] = []

    def read(value: Any) -> Any:
        if not found:
            found.append(codec(kind).read)
        return found[0](value)

    return read


def _writer(field: Field) -> Writer:
    name, kind = field.name, field.type
    if not field.is_message:
        return _scalar_writer(field)
    if kind.endswith(messages.STRING_LISTS):
        fill: Writer = _write_strings
    elif kind in _SPECIAL:
        fill = _SPECIAL[kind][1]
    else:
        fill = _lazy_fill(kind)

    # Null among elements is an empty struct, but null where any JSON may stand.
    missing: Any = None if kind in _ANY_JSON else {}

    if field.label is Label.REPEATED:

        def write_list(message: Any, value: Any) -> None:
            rows = getattr(message, name)
            for item in value:
                fill(rows.add(), item if item is not None else missing)

        return write_list
    if field.label is Label.MAP:

        def write_map(message: Any, value: Any) -> None:
            rows = getattr(message, name)
            for key, item in value.items():
                fill(rows[key], item if item is not None else missing)

        return write_map

    def write(message: Any, value: Any) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        fill(inner, value)

    return write


def _lazy_fill(kind: str) -> Writer:
    found: list[Writer] = []

    def fill(message: Any, value: Any) -> None:
        if not found:
            found.append(codec(kind).fill)
        found[0](message, value)

    return fill


def _scalar_writer(field: Field) -> Writer:
    name = field.name
    convert: Callable[[Any], Any] = base64.b64decode if field.type == "bytes" else _same
    if field.label is Label.REPEATED:
        return lambda message, value: getattr(message, name).extend(map(convert, value))
    if field.label is Label.MAP:

        def write_map(message: Any, value: Any) -> None:
            rows = getattr(message, name)
            for key, item in value.items():
                rows[key] = convert(item)

        return write_map
    if convert is _same:
        return lambda message, value: setattr(message, name, value)
    return lambda message, value: setattr(message, name, convert(value))


# What has a JSON form of its own.


def _read_time(value: Any) -> str | None:
    return times.to_rfc3339(value.seconds) if value.HasField("seconds") else None


def _write_time(message: Any, value: Any) -> None:
    message.seconds = int(times.parse(value) // 1)
    message.nanos = 0


def _read_micro_time(value: Any) -> str | None:
    if not value.HasField("seconds"):
        return None
    return f"{times.to_rfc3339(value.seconds)[:-1]}.{value.nanos // 1000:06d}Z"


def _write_micro_time(message: Any, value: Any) -> None:
    micros = round(times.parse(value) * 1_000_000)
    message.seconds, rest = divmod(micros, 1_000_000)
    message.nanos = rest * 1000


def _read_int_or_string(value: Any) -> int | str:
    return str(value.strVal) if value.type == 1 else int(value.intVal)


def _write_int_or_string(message: Any, value: Any) -> None:
    is_text = isinstance(value, str)
    message.type = int(is_text)
    message.intVal = 0 if is_text else value
    message.strVal = value if is_text else ""


def _read_quantity(value: Any) -> str:
    return str(value.string) or "0"


def _write_quantity(message: Any, value: Any) -> None:
    message.string = str(value)


def _read_json(name: str) -> Reader:
    def read(value: Any) -> Any:
        raw = getattr(value, name)
        return json.loads(raw) if raw else None

    return read


def _write_json(name: str) -> Writer:
    def write(message: Any, value: Any) -> None:
        setattr(message, name, json.dumps(value, separators=(",", ":")).encode())

    return write


def _write_strings(message: Any, value: Any) -> None:
    message.items.extend(value)


def _read_schema_or_array(value: Any) -> Any:
    if value.HasField("schema"):
        return codec(_SCHEMA).read(value.schema)
    return [codec(_SCHEMA).read(item) for item in value.jSONSchemas]


def _write_schema_or_array(message: Any, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            codec(_SCHEMA).fill(message.jSONSchemas.add(), item)
    else:
        message.schema.SetInParent()
        codec(_SCHEMA).fill(message.schema, value)


def _read_schema_or_bool(value: Any) -> Any:
    return codec(_SCHEMA).read(value.schema) if value.HasField("schema") else bool(value.allows)


def _write_schema_or_bool(message: Any, value: Any) -> None:
    # A schema allows what it describes.
    message.allows = value if isinstance(value, bool) else True
    if not isinstance(value, bool):
        message.schema.SetInParent()
        codec(_SCHEMA).fill(message.schema, value)


def _read_schema_or_strings(value: Any) -> Any:
    return codec(_SCHEMA).read(value.schema) if value.HasField("schema") else list(value.property)


def _write_schema_or_strings(message: Any, value: Any) -> None:
    if isinstance(value, list):
        message.property.extend(value)
    else:
        message.schema.SetInParent()
        codec(_SCHEMA).fill(message.schema, value)


_ANY_JSON = (messages.FIELDS_V1, messages.RAW_EXTENSION, messages.CRD_JSON)
_SPECIAL: dict[str, tuple[Reader, Writer]] = {
    messages.TIME: (_read_time, _write_time),
    messages.MICRO_TIME: (_read_micro_time, _write_micro_time),
    messages.QUANTITY: (_read_quantity, _write_quantity),
    messages.INT_OR_STRING: (_read_int_or_string, _write_int_or_string),
    messages.FIELDS_V1: (_read_json("Raw"), _write_json("Raw")),
    messages.RAW_EXTENSION: (_read_json("raw"), _write_json("raw")),
    messages.CRD_JSON: (_read_json("raw"), _write_json("raw")),
    messages.SCHEMA_OR_ARRAY: (_read_schema_or_array, _write_schema_or_array),
    messages.SCHEMA_OR_BOOL: (_read_schema_or_bool, _write_schema_or_bool),
    messages.SCHEMA_OR_STRINGS: (_read_schema_or_strings, _write_schema_or_strings),
}
