"""How Go's decoder reads single JSON values: scalars, and the types that have a JSON form of their own.

Each reader takes (value, list of unknown fields) and returns the canonical value: quantities and times have one
spelling, base64 has no line ends. Errors have the texts of encoding/json and of the types' own parsers.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from controlplane.api import quantity, times
from controlplane.api.schema import go_time, messages

# (value, list that gets one entry for each unknown field) -> the normal value.
Decode = Callable[[Any, list[str]], Any]

_INT32 = 1 << 31
_INT64 = 1 << 63
_ZERO_INSTANT = "0001-01-01T00:00:00Z"


class MalformedError(ValueError):
    """A value that the type cannot take; the text is that of Go's decoder.

    `shown` is the JSON value's type, `go_type` the type it should have had; both empty where that is not what is wrong.
    """

    def __init__(self, text: str, shown: str = "", go_type: str = "") -> None:
        super().__init__(text)
        self.shown = shown
        self.go_type = go_type


class WrongTypeError(Exception):
    """A JSON value of the wrong type, before it is known where it stands."""

    def __init__(self, shown: str, go_type: str) -> None:
        super().__init__(shown, go_type)
        self.shown = shown
        self.go_type = go_type
        self.struct = ""
        self.path: list[str] = []

    def text(self) -> str:
        """The error text of Go's decoder."""
        if not self.path:
            return f"json: cannot unmarshal {self.shown} into Go value of type {self.go_type}"
        where = ".".join(reversed(self.path))
        return (
            f"json: cannot unmarshal {self.shown} into Go struct field {self.struct}.{where} "
            f"of type {self.go_type}"
        )


def shown_type(value: Any) -> str:
    """How Go's errors call a JSON value."""
    if value is True or value is False:
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def string(go_type: str) -> Decode:
    """A reader of strings."""

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not str:
            raise WrongTypeError(shown_type(value), go_type)
        return value

    return decode


def bool_(go_type: str) -> Decode:
    """A reader of booleans."""

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not bool:
            raise WrongTypeError(shown_type(value), go_type)
        return value

    return decode


def integer(limit: int) -> Callable[[str], Decode]:
    """Readers of whole numbers from `-limit` on, below `limit`."""

    def make(go_type: str) -> Decode:
        def decode(value: Any, unknown: list[str]) -> Any:
            if type(value) is not int:
                shown = f"number {value!r}" if isinstance(value, float) else shown_type(value)
                raise WrongTypeError(shown, go_type)
            if not -limit <= value < limit:
                raise WrongTypeError(f"number {value}", go_type)
            return value

        return decode

    return make


def double(go_type: str) -> Decode:
    """A reader of numbers."""

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not float and type(value) is not int:
            raise WrongTypeError(shown_type(value), go_type)
        return value

    return decode


def bytes_(go_type: str) -> Decode:
    """A reader of bytes in base64."""

    def decode(value: Any, unknown: list[str]) -> Any:
        if type(value) is not str:
            raise WrongTypeError(shown_type(value), go_type)
        return _canonical_base64(value)

    return decode


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _canonical_base64(text: str) -> str:
    packed = text.replace("\n", "").replace("\r", "")
    found = _BASE64.match(packed)
    end = found.end() if found is not None else 0
    if end != len(packed):
        raise MalformedError(f"illegal base64 data at input byte {_first_bad_byte(packed, end)}")
    try:
        return base64.b64encode(base64.b64decode(packed)).decode()
    except binascii.Error as error:
        raise MalformedError(f"illegal base64 data: {error}") from None


def _first_bad_byte(packed: str, end: int) -> int:
    """Where Go's decoder stops: at the first byte that cannot stand there, or where the last four begin."""
    if packed[:end].endswith("="):
        return end
    start = end
    while end < len(packed) and re.match(r"[A-Za-z0-9+/]", packed[end]):
        end += 1
    return start if end == len(packed) else end


SCALARS: dict[str, Callable[[str], Decode]] = {
    "string": string,
    "bool": bool_,
    "int32": integer(_INT32),
    "int64": integer(_INT64),
    "double": double,
    "bytes": bytes_,
}


@lru_cache(maxsize=4096)
def _canonical_quantity(value: str | int | float) -> str:
    try:
        return quantity.canonical(value)
    except (ValueError, ArithmeticError):
        raise MalformedError(quantity.PATTERN_MESSAGE) from None


def _quantity(value: Any, unknown: list[str]) -> Any:
    kind = type(value)
    if kind is str:
        return _canonical_quantity(value)
    if kind is int or kind is float:
        return _canonical_quantity(str(value))
    raise MalformedError(quantity.PATTERN_MESSAGE)


def _int_or_string(value: Any, unknown: list[str]) -> Any:
    if type(value) is str:
        return value
    if type(value) is not int:
        if isinstance(value, float):
            raise WrongTypeError(f"number {value!r}", "int32")
        raise MalformedError(
            f"json: cannot unmarshal {shown_type(value)} into Go value of type string"
        )
    if not -_INT32 <= value < _INT32:
        raise WrongTypeError(f"number {value}", "int32")
    return value


@lru_cache(maxsize=1024)
def _canonical_time(text: str) -> str | None:
    shown = times.to_rfc3339(_instant(text, go_time.SECONDS))
    return None if shown == _ZERO_INSTANT else shown


def _time(value: Any, unknown: list[str]) -> Any:
    if type(value) is not str:
        raise WrongTypeError(shown_type(value), "string")
    return _canonical_time(value)


@lru_cache(maxsize=1024)
def _canonical_micro_time(text: str) -> str:
    return times.to_micro(_instant(text, go_time.MICROSECONDS))


def _micro_time(value: Any, unknown: list[str]) -> Any:
    if type(value) is not str:
        raise WrongTypeError(shown_type(value), "string")
    return _canonical_micro_time(value)


def _instant(text: str, layout: str) -> float:
    problem = go_time.problem(text, layout)
    if problem:
        raise MalformedError(problem)
    try:
        return times.parse(text)
    except ValueError as error:
        # What only Go takes: the year 0.
        raise MalformedError(str(error)) from None


def _raw(value: Any, unknown: list[str]) -> Any:
    return _copied(value)


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value


# Types that write their own JSON: how they are read, and what their zero value is.
SPECIAL: dict[str, tuple[Decode, Any]] = {
    messages.QUANTITY: (_quantity, "0"),
    messages.INT_OR_STRING: (_int_or_string, 0),
    messages.TIME: (_time, None),
    messages.MICRO_TIME: (_micro_time, None),
    messages.FIELDS_V1: (_raw, None),
    messages.RAW_EXTENSION: (_raw, None),
    messages.CRD_JSON: (_raw, None),
}
