"""Quantities and semantic versions in CEL.

Source: k8s.io/apiserver/pkg/cel/library/{quantity,semverlib}.go; versions by semver.org 2.0.0.
"""

import re
from fractions import Fraction
from typing import Any

from controlplane.api import quantity
from controlplane.api.cel import tagged
from controlplane.api.cel.tagged import QUANTITY, SEMVER, FunctionError

_VERSION = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_MAX_INT, _MIN_INT = 2**63 - 1, -(2**63)


def is_quantity(text: str) -> bool:
    """Whether `text` is a quantity, such as `1.5Gi`."""
    return quantity.is_valid(text)


def make_quantity(text: str) -> dict[str, Any]:
    """The quantity in `text`."""
    if not quantity.is_valid(text):
        raise FunctionError(quantity.PATTERN_MESSAGE)
    return _quantity(Fraction(quantity.parse(text)))


def _quantity(value: Fraction) -> dict[str, Any]:
    return tagged.make(QUANTITY, f"{value.numerator}/{value.denominator}")


def value_of(value: Any, function: str) -> Fraction:
    """The number that a quantity stands for."""
    return Fraction(tagged.content(value, QUANTITY, function))


def sign(value: Any) -> int:
    """1, 0 or -1."""
    number = value_of(value, "sign")
    return (number > 0) - (number < 0)


def is_integer(value: Any) -> bool:
    """Whether `asInteger` can be called."""
    number = value_of(value, "isInteger")
    return number.denominator == 1 and _MIN_INT <= number <= _MAX_INT


def as_integer(value: Any) -> int:
    """The quantity as an int; FunctionError when it is none or too large."""
    if not is_integer(value):
        raise FunctionError("cannot convert value to integer")
    return int(value_of(value, "asInteger"))


def as_float(value: Any) -> float:
    """The quantity as a double, as near as it gets."""
    return float(value_of(value, "asApproximateFloat"))


def add(left: Any, right: Any) -> dict[str, Any]:
    """The sum; the second summand may be an int."""
    return _quantity(value_of(left, "add") + _summand(right, "add"))


def subtract(left: Any, right: Any) -> dict[str, Any]:
    """The difference; the subtrahend may be an int."""
    return _quantity(value_of(left, "sub") - _summand(right, "sub"))


def _summand(value: Any, function: str) -> Fraction:
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    return value_of(value, function)


def _parts(text: str, *, is_lax: bool) -> tuple[Any, ...] | None:
    if is_lax:
        # What upstream's lax form forgives: a leading v, missing minor or patch, leading zeros.
        text = text.removeprefix("v")
        core, mark, rest = (
            re.split(r"([-+])", text, maxsplit=1) if re.search(r"[-+]", text) else (text, "", "")
        )
        numbers = core.split(".")
        if not all(part.isascii() and part.isdigit() for part in numbers) or len(numbers) > 3:
            return None
        numbers += ["0"] * (3 - len(numbers))
        text = ".".join(str(int(part)) for part in numbers) + mark + rest
    found = _VERSION.fullmatch(text)
    if found is None or any(int(found.group(n)) > _MAX_INT for n in (1, 2, 3)):
        return None
    return (int(found.group(1)), int(found.group(2)), int(found.group(3)), found.group(4) or "")


def is_semver(text: str, is_lax: bool = False) -> bool:
    """Whether `text` is a version; `is_lax` forgives a leading v and missing parts."""
    return _parts(text, is_lax=is_lax) is not None


def make_semver(text: str, is_lax: bool = False) -> dict[str, Any]:
    """The version in `text`."""
    parts = _parts(text, is_lax=is_lax)
    if parts is None:
        raise FunctionError(f"invalid semantic version {text!r}")
    major, minor, patch, pre = parts
    return tagged.make(SEMVER, f"{major}.{minor}.{patch}" + (f"-{pre}" if pre else ""))


def version_part(value: Any, index: int, function: str) -> int:
    """Major (0), minor (1) or patch (2)."""
    parts = _parts(tagged.content(value, SEMVER, function), is_lax=False)
    assert parts is not None
    return int(parts[index])


def _version_key(text: str) -> tuple[Any, ...]:
    parts = _parts(text, is_lax=False)
    assert parts is not None
    pre = parts[3]
    # A release stands after its pre-releases; numbers before words.
    words = (
        [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in pre.split(".")]
        if pre
        else []
    )
    return (*parts[:3], not pre, words)


def compare(left: Any, right: Any, function: str) -> int:
    """-1, 0 or 1: quantities and versions, each with its own kind."""
    one: Any
    other: Any
    if tagged.tag_of(left) == SEMVER:
        one = _version_key(tagged.content(left, SEMVER, function))
        other = _version_key(tagged.content(right, SEMVER, function))
    else:
        one, other = value_of(left, function), value_of(right, function)
    return int(one > other) - int(one < other)
