"""The words of validation: causes in upstream's form (apimachinery field.Error)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause


def show(value: Any) -> str:
    """A bad value as messages show it: text in quotes, the rest as JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def required(path: str, detail: str = "") -> Cause:
    """A missing value."""
    message = "Required value" + (f": {detail}" if detail else "")
    return Cause(path, message, "FieldValueRequired")


def invalid(path: str, value: Any, detail: str) -> Cause:
    """A value that breaks a rule."""
    return Cause(path, f"Invalid value: {show(value)}: {detail}", "FieldValueInvalid")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    """A value outside an enumeration."""
    words = ", ".join(show(word) for word in supported)
    message = f"Unsupported value: {show(value)}: supported values: {words}"
    return Cause(path, message, "FieldValueNotSupported")


def duplicate(path: str, value: Any) -> Cause:
    """A value that must be unique and is not."""
    return Cause(path, f"Duplicate value: {show(value)}", "FieldValueDuplicate")


def forbidden(path: str, detail: str) -> Cause:
    """A value that may not be set, or not changed, here."""
    return Cause(path, f"Forbidden: {detail}", "FieldValueForbidden")


def not_found(path: str, value: Any) -> Cause:
    """A reference to something the object does not have."""
    return Cause(path, f"Not found: {show(value)}", "FieldValueNotFound")


def too_long(path: str, limit: int, unit: str = "bytes") -> Cause:
    """A value over its limit; the value itself is not shown."""
    message = f"Too long: may not be more than {limit} {unit}"
    return Cause(path, message, "FieldValueTooLong")


def too_many(path: str, count: int, limit: int) -> Cause:
    """More items than a list or map may have."""
    noun = "item" if limit == 1 else "items"
    return Cause(path, f"Too many: {count}: must have at most {limit} {noun}", "FieldValueTooMany")


def duplicate_because(path: str, value: Any, detail: str) -> Cause:
    """A value that must be unique, with the reason."""
    return Cause(path, f"Duplicate value: {show(value)}: {detail}", "FieldValueDuplicate")


def immutable(path: str, new: Any) -> Cause:
    """A change of what may not change."""
    return invalid(path, new, "field is immutable")


def each(path: str, value: Any, problems: Sequence[str]) -> list[Cause]:
    """A cause for each problem a name checker found."""
    return [invalid(path, value, problem) for problem in problems]


def non_negative(path: str, value: Any) -> list[Cause]:
    """A number below zero."""
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return [invalid(path, value, "must be greater than or equal to 0")]
    return []


def enum(path: str, value: Any, supported: Sequence[str]) -> list[Cause]:
    """A word outside the list; empty counts as set."""
    return [] if value in supported else [not_supported(path, value, sorted(supported))]


def port_number(path: str, value: Any) -> list[Cause]:
    """A port outside 1-65535."""
    if isinstance(value, int) and 1 <= value <= 65535:
        return []
    return [invalid(path, value, "must be between 1 and 65535, inclusive")]


def one_of(path: str, value: Any, supported: Sequence[str]) -> list[Cause]:
    """A word that must be there and in the list; the list is shown in its own order."""
    if value in supported:
        return []
    return [not_supported(path, value, supported) if value else required(path)]


def positive(path: str, value: Any) -> list[Cause]:
    """A number that is not above zero."""
    if value is None or value > 0:
        return []
    return [invalid(path, value, "must be greater than zero")]


def in_range(path: str, value: Any, low: int, high: int) -> list[Cause]:
    """A number outside the bounds, which are allowed themselves."""
    if low <= value <= high:
        return []
    return [invalid(path, value, f"must be between {low} and {high}, inclusive")]


def port_or_name(path: str, value: Any) -> list[Cause]:
    """A port by its number or its name."""
    if isinstance(value, str):
        return each(path, value, names.port_name(value))
    return port_number(path, value or 0)


def qualified(path: str, text: str) -> list[Cause]:
    """A text that is no label name, with or without a prefix."""
    return each(path, text, names.qualified_name(text))


def subdomain(path: str, text: str) -> list[Cause]:
    """A text that is no name of an object."""
    return each(path, text, names.dns_subdomain(text))
