"""The form in which Kubernetes keeps an object: what Go's types make of a JSON value and back.

The original decodes every body into Go structs and encodes those again, so a client sees its optional zero values
(`readOnly: false`, `data: {}`, `value: ""`) vanish, the zero values of other fields appear (`status: {}`,
`resources: {}`, `rules: null`), quantities and times in canonical text, and values of the wrong type refused.
`normalize` does the same to a plain dict, and drops fields the type does not have. The functions are compiled once a
type; they copy, so the result shares nothing that can change with its source.

Facts of each field (may it be nil, is it left out when empty) come from `messages`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.schema import messages, values
from controlplane.api.schema.messages import Field, Label, Message
from controlplane.api.schema.values import (
    SCALARS,
    Decode,
    MalformedError,
    WrongTypeError,
    shown_type,
    string,
)


@dataclass(slots=True)
class _Part:
    """How a field is read: `drops_zero` leaves an empty value out, `null` is what stands for null."""

    decode: Decode
    drops_zero: bool
    null: Callable[[], Any] | None


@dataclass(slots=True)
class Compiled:
    """A type's functions: `decode` makes normal values; `always` are the fields that are never left out.

    `places` is the order of the fields, in which they are written.
    `embedded` tells for a field that comes from an embedded struct which one: errors name it.
    """

    message: Message
    parts: dict[str, _Part]
    always: list[tuple[str, Callable[[], Any]]]
    embedded: dict[str, str]
    places: dict[str, int] = dataclasses.field(default_factory=dict)

    def decode(self, value: Any, unknown: list[str]) -> Obj:
        """The normal form of a JSON object of this type."""
        if type(value) is not dict:
            raise WrongTypeError(shown_type(value), _go_text(self.message))
        parts = self.parts
        result: Obj = {}
        key = ""
        try:
            for key, item in value.items():
                part = parts.get(key)
                if part is None:
                    unknown.append(key)
                elif item is None:
                    if part.null is not None:
                        result[key] = part.null()
                else:
                    kept = part.decode(item, unknown)
                    if kept or not part.drops_zero:
                        result[key] = kept
        except WrongTypeError as error:
            if not error.struct:
                error.struct = self.message.go_name
            error.path.append(key)
            if key in self.embedded:
                error.path.append(self.embedded[key])
            raise
        for name, zero in self.always:
            if name not in result:
                result[name] = zero()
        return self._ordered(result)

    def _ordered(self, obj: Obj) -> Obj:
        """As the original writes it: people compare objects, and messages show parts of them."""
        order = [*map(self.places.__getitem__, obj)]
        if order == sorted(order):
            return obj
        return {key: obj[key] for key in sorted(obj, key=self.places.__getitem__)}

    def zero(self) -> Obj:
        """What an empty struct of this type is in JSON."""
        return {name: make() for name, make in self.always}

    def complete(self, obj: Obj) -> None:
        """Add to `obj`, in place, those fields of its own that are never left out."""
        for name, make in self.always:
            if name not in obj:
                obj[name] = make()


@cache
def compiled(name: str) -> Compiled:
    """The functions of the message of that full name."""
    message = messages.message(name)
    parts: dict[str, _Part] = {}
    always: list[tuple[str, Callable[[], Any]]] = []
    embedded: dict[str, str] = {}
    result = Compiled(message, parts, always, embedded)
    if message.has_type_meta:
        for field_name in ("kind", "apiVersion"):
            parts[field_name] = _Part(string("string"), True, None)
    for field in message.fields:
        if field.json_name == "-":
            continue
        if field.json_name == "~inline":
            inner = compiled(field.type)
            parts.update(inner.parts)
            always.extend(inner.always)
            for key in inner.parts:
                below = inner.embedded.get(key)
                embedded[key] = inner.message.go_name + (f".{below}" if below else "")
            continue
        zero = _zero_of(field)
        parts[field.json_name] = _Part(_field(field), _drops_zero(field), zero)
        if zero is not None:
            always.append((field.json_name, zero))
    result.places.update({key: place for place, key in enumerate(parts)})
    return result


def compiled_of(api_version: str, kind: str) -> Compiled | None:
    """The functions of a type by apiVersion and kind; None for what is not Kubernetes' own."""
    message = messages.message_of(api_version, kind)
    return None if message is None else compiled(message.name)


def normalize(obj: Any, kind: Compiled) -> tuple[Obj, bool]:
    """(the normal form, whether there were fields the type does not have); MalformedError for wrong types."""
    unknown: list[str] = []
    try:
        return kind.decode(obj, unknown), bool(unknown)
    except WrongTypeError as error:
        raise MalformedError(error.text(), error.shown, error.go_type) from None
    except RecursionError:
        raise MalformedError("exceeded max depth") from None


def unknown_fields(obj: Any, kind: Compiled) -> list[str]:
    """The paths of the fields that the type does not have, in upstream's spelling: `spec.containers[0].foo`."""
    found: list[str] = []
    _walk(obj, kind.message.name, "", found)
    return found


def _walk(value: Any, name: str, path: str, found: list[str]) -> None:
    if not isinstance(value, dict) or name in _SPECIAL or name.endswith(messages.STRING_LISTS):
        if name in (messages.SCHEMA_OR_ARRAY, messages.SCHEMA_OR_BOOL, messages.SCHEMA_OR_STRINGS):
            _walk_schemas(value, path, found)
        return
    fields, has_type_meta = _fields_by_json_name(name)
    for key, item in value.items():
        below = f"{path}.{key}" if path else str(key)
        field = fields.get(key)
        if field is None:
            if not (has_type_meta and key in ("apiVersion", "kind")):
                found.append(below)
        elif not field.is_message:
            continue
        elif field.label is Label.REPEATED and isinstance(item, list):
            for index, one in enumerate(item):
                _walk(one, field.type, f"{below}[{index}]", found)
        elif field.label is Label.MAP and isinstance(item, dict):
            for one_key, one in item.items():
                _walk(one, field.type, f"{below}.{one_key}", found)
        else:
            _walk(item, field.type, below, found)


def _walk_schemas(value: Any, path: str, found: list[str]) -> None:
    schema = messages.SCHEMA_OR_ARRAY.removesuffix("OrArray")
    if isinstance(value, dict):
        _walk(value, schema, path, found)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _walk(one, schema, f"{path}[{index}]", found)


@cache
def _fields_by_json_name(name: str) -> tuple[dict[str, Field], bool]:
    message = messages.message(name)
    result: dict[str, Field] = {}
    for field in message.fields:
        if field.json_name == "~inline":
            result.update(_fields_by_json_name(field.type)[0])
        elif field.json_name != "-":
            result[field.json_name] = field
    return result, message.has_type_meta


def _drops_zero(field: Field) -> bool:
    if field.rule == "z":
        return True
    return field.rule == "o" and not (field.label is Label.ONE and _is_struct(field.type))


def _is_struct(name: str) -> bool:
    return "." in name and not name.endswith(messages.STRING_LISTS)


_SCALAR_ZEROS: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    # A nil slice of bytes, as every nil slice, is null.
    "bytes": None,
}


def _none() -> None:
    return None


def _zero_of(field: Field) -> Callable[[], Any] | None:
    """What stands for a field that is not set; None when nothing does."""
    if field.rule == "P":
        return _none
    if field.rule not in ("a", "o"):
        return None
    if field.label is Label.ONE and _is_struct(field.type):
        return _zero_struct(field.type)
    if field.rule == "o":
        return None
    if field.label is Label.ONE and field.type in _SCALAR_ZEROS:
        zero = _SCALAR_ZEROS[field.type]
        return lambda: zero
    return _none


def _zero_struct(name: str) -> Callable[[], Any]:
    special = _SPECIAL.get(name)
    if special is not None:
        zero = special[1]
        return lambda: zero
    # Compiled when first needed: types may hold themselves.
    return lambda: compiled(name).zero()


def _field(field: Field) -> Decode:
    element = _element(field)
    if field.label is Label.REPEATED or field.type.endswith(messages.STRING_LISTS):
        if field.label is Label.MAP:
            return _map(_list(string("string"), _none, "[]string", is_null_when_empty=False), field)
        zero = _element_zero(field)
        return _list(element, zero, field.go_type, is_null_when_empty=field.rule == "a")
    if field.label is Label.MAP:
        return _map(element, field)
    return element


def _element_zero(field: Field) -> Callable[[], Any]:
    if _is_struct(field.type):
        return _zero_struct(field.type)
    zero = _SCALAR_ZEROS.get(field.type, "")
    return lambda: zero


def _element(field: Field) -> Decode:
    name = field.type
    if name.endswith(messages.STRING_LISTS):
        return string("string")
    special = _SPECIAL.get(name)
    if special is not None:
        return special[0]
    if field.is_message:
        return _struct(name)
    go_type = field.go_type if field.label is Label.ONE else _go_element(field)
    return SCALARS[name](go_type)


def _go_element(field: Field) -> str:
    if field.go_type.startswith("[]"):
        return field.go_type[2:]
    if field.go_type.startswith("map["):
        return field.go_type.partition("]")[2]
    return {"double": "float64", "bytes": "[]uint8"}.get(field.type, field.type)


def _struct(name: str) -> Decode:
    found: list[Compiled] = []

    def decode(value: Any, unknown: list[str]) -> Any:
        if not found:
            found.append(compiled(name))
        return found[0].decode(value, unknown)

    return decode


def _list(
    element: Decode, zero: Callable[[], Any], go_type: str, *, is_null_when_empty: bool
) -> Decode:
    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not list:
            raise WrongTypeError(shown_type(value), go_type)
        if not value and is_null_when_empty:
            return None
        return [zero() if item is None else element(item, unknown) for item in value]

    return decode


def _map(element: Decode, field: Field) -> Decode:
    go_type, zero, is_null_when_empty = field.go_type, _element_zero(field), field.rule == "a"
    is_text = field.type == "string"

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not dict:
            raise WrongTypeError(shown_type(value), go_type)
        if not value and is_null_when_empty:
            return None
        if is_text:
            for item in value.values():
                if type(item) is not str:
                    break
            else:
                return value.copy()
        return {
            key: zero() if item is None else element(item, unknown) for key, item in value.items()
        }

    return decode


def _go_text(message: Message) -> str:
    return f"{messages.package_of(message.name).rpartition('.')[2]}.{message.go_name}"


_SCHEMA = _struct(messages.SCHEMA_OR_ARRAY.removesuffix("OrArray"))


def _schema_or_array(value: Any, unknown: list[str]) -> Any:
    if type(value) is list:
        return [_SCHEMA(item, unknown) for item in value]
    return _SCHEMA(value, unknown) if type(value) is dict else None


def _schema_or_bool(value: Any, unknown: list[str]) -> Any:
    if type(value) is bool:
        return value
    if type(value) is dict:
        return _SCHEMA(value, unknown)
    raise MalformedError("boolean or JSON schema expected")


def _schema_or_strings(value: Any, unknown: list[str]) -> Any:
    if type(value) is list:
        return [str(item) for item in value]
    return _SCHEMA(value, unknown) if type(value) is dict else None


_SPECIAL: dict[str, tuple[Decode, Any]] = {
    **values.SPECIAL,
    messages.SCHEMA_OR_ARRAY: (_schema_or_array, None),
    messages.SCHEMA_OR_BOOL: (_schema_or_bool, None),
    messages.SCHEMA_OR_STRINGS: (_schema_or_strings, None),
}
