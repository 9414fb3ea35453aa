"""Resource quantities: parse, compare, add, canonical text.

Exact arithmetic on Fraction. Canonical text follows apimachinery's rules: keep the family of the
suffix written (binary Ki.., decimal n..E, exponent), largest suffix that leaves a whole number,
and round up to a nano: the API never stores less than was asked for.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TypeGuard

_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))((?:[eE][+-]?\d+)|(?:[KMGTPE]i)|[numkMGTPE])?")
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = Fraction(1, 10**9)

PATTERN_MESSAGE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _split(text: str) -> tuple[Fraction, str]:
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(PATTERN_MESSAGE)
    return Fraction(Decimal(found.group(1).rstrip("."))), found.group(2) or ""


def parse(value: str | int | float) -> Fraction:
    """The exact number a quantity stands for (cores, bytes); ValueError when it is not one."""
    if isinstance(value, int):
        return Fraction(value)
    number, suffix = _split(str(value))
    if suffix in _BINARY:
        number *= 2 ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        number *= Fraction(10) ** _DECIMAL[suffix]
    else:
        number *= Fraction(10) ** int(suffix[1:])
    # Anything finer than a nano is rounded away from zero, as upstream does.
    nanos = number / _NANO
    if nanos.denominator != 1:
        whole = -((-nanos.numerator) // nanos.denominator)
        number = (whole if number > 0 else whole - 1) * _NANO
    return number


def family(value: str | int | float) -> str:
    """How a quantity was written: `binary`, `exponent` or `decimal`."""
    if isinstance(value, int):
        return "decimal"
    suffix = _split(str(value))[1]
    if suffix in _BINARY:
        return "binary"
    return "exponent" if suffix[:1] in ("e", "E") and len(suffix) > 1 else "decimal"


def format(number: Fraction | int, style: str = "decimal") -> str:
    """Canonical text of a number in a family of suffixes."""
    number = Fraction(number)
    if number == 0:
        return "0"
    if style == "binary" and abs(number) >= 1024 and number.denominator == 1:
        return _largest(number, [(s, Fraction(2) ** e) for s, e in _BINARY.items()], "")
    if style == "exponent":
        text = _largest(number, [(f"e{e}", Fraction(10) ** e) for e in _DECIMAL.values()], "")
        return text.removesuffix("e0")
    return _largest(number, [(s, Fraction(10) ** e) for s, e in _DECIMAL.items()], "n")


def _largest(number: Fraction, units: list[tuple[str, Fraction]], smallest: str) -> str:
    best = None
    for suffix, size in units:
        if (number / size).denominator == 1 and (best is None or size > best[1]):
            best = (suffix, size)
    if best is None or (smallest == "" and best[1] < 1):
        best = best or ("", Fraction(1))
    return f"{number / best[1]}{best[0]}"


@lru_cache(maxsize=8192, typed=True)
def canonical(value: str | int | float) -> str:
    """The text the API stores for a quantity: `1000m` -> `1`, `1024Ki` -> `1Mi`."""
    return format(parse(value), family(value))


@lru_cache(maxsize=8192, typed=True)
def canonical_milli(value: str | int | float) -> str:
    """The text that a list of resources stores: rounded up to a thousandth."""
    number, style = parse(value), family(value)
    thousandths = number * 1000
    if thousandths.denominator != 1:
        number = Fraction(-((-thousandths.numerator) // thousandths.denominator), 1000)
    return format(number, style)


def is_valid(value: object) -> TypeGuard[str | int | float]:
    """Whether the value is a quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True


def add(left: str | int, right: str | int) -> str:
    """The sum, in the family of the left."""
    return format(parse(left) + parse(right), family(left))


def value(quantity: str | int) -> int:
    """Whole units, rounded up (bytes, pods)."""
    number = parse(quantity)
    return -((-number.numerator) // number.denominator)
