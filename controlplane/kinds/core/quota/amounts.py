"""Amounts by resource name, as quotas add, subtract and show them.

A sum is written in the family of suffixes (Ki or k) of its first summand that is not zero, as the original writes it.

Source: apiserver/pkg/quota/v1/resources.go, apimachinery/pkg/api/resource (Quantity.Add, Quantity.Sub).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from fractions import Fraction

from controlplane.api import quantity
from controlplane.api.meta import View


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with the family of suffixes it is written in."""

    number: Fraction
    style: str = "decimal"

    def __add__(self, other: Amount) -> Amount:
        style = self.style if self.number else other.style
        return Amount(self.number + other.number, style)

    def __sub__(self, other: Amount) -> Amount:
        style = self.style if self.number else other.style
        return Amount(self.number - other.number, style)

    def __str__(self) -> str:
        return quantity.format(self.number, self.style)


Amounts = Mapping[str, Amount]
ZERO = Amount(Fraction(0))
ONE = Amount(Fraction(1))


def whole(number: int) -> Amount:
    """A count of things."""
    return Amount(Fraction(number))


def parsed(amounts: View | None) -> dict[str, Amount]:
    """The amounts of an object's map of quantities; what is none is left out."""
    return {
        name: Amount(quantity.parse(value), quantity.family(value))
        for name, value in (amounts or {}).items()
        if quantity.is_valid(value)
    }


def written(amounts: Amounts) -> dict[str, str]:
    """The map of quantities that an object carries."""
    return {name: str(amount) for name, amount in amounts.items()}


def add(left: Amounts, right: Amounts) -> dict[str, Amount]:
    """Sums by name; a name of one side alone stays."""
    total = dict(left)
    for name, amount in right.items():
        total[name] = total[name] + amount if name in total else amount
    return total


def growth(new: Amounts, old: Amounts) -> dict[str, Amount]:
    """What `new` has more than `old`, without what did not grow."""
    more = {name: amount - old.get(name, ZERO) for name, amount in new.items()}
    return {name: amount for name, amount in more.items() if amount.number > 0}


def only(amounts: Amounts, names: Container[str]) -> dict[str, Amount]:
    """The amounts of some names."""
    return {name: amount for name, amount in amounts.items() if name in names}


def is_same(left: Amounts, right: Amounts) -> bool:
    """Whether both have the same names with the same numbers, however written."""
    return left.keys() == right.keys() and all(
        amount.number == right[name].number for name, amount in left.items()
    )


def shown(amounts: Amounts) -> str:
    """`cpu=1,memory=1Gi`, in order of names."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))
