"""Rules of amounts: counts, percentages, ports that may have a name, quantities.

Sources: pkg/apis/apps/validation/validation.go (int or percent), apimachinery/pkg/util/validation (IsValidPercent),
pkg/apis/core/validation/validation.go (validateBasicResource).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import quantity
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_PERCENT = re.compile("[0-9]+%")
_PERCENT_DETAIL = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
_INTEGER = re.compile("[+-]?[0-9]+")


def is_percent(value: Any) -> bool:
    """Whether the value is a text such as `25%`."""
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def int_or_percent(path: str, value: Any) -> list[Cause]:
    """A value that is neither a percentage nor a number from 0; an absent one counts as 0."""
    if isinstance(value, str):
        return [] if is_percent(value) else [fields.invalid(path, value, _PERCENT_DETAIL)]
    return fields.non_negative(path, value)


def at_most_100_percent(path: str, value: Any) -> list[Cause]:
    """A percentage above 100."""
    if is_percent(value) and int(value[:-1]) > 100:
        return [fields.invalid(path, value, "must not be greater than 100%")]
    return []


def number_of(value: Any) -> int:
    """The number in an int-or-string, the percentage in a percent text; 0 for text that is neither."""
    if isinstance(value, str):
        if is_percent(value):
            return int(value[:-1])
        return int(value) if _INTEGER.fullmatch(value) else 0
    return int(value or 0)


def all_non_negative(path: str, obj: Mapping[str, Any], keys: Iterable[str]) -> list[Cause]:
    """The fields of `obj` among `keys` that are below zero, in the order of `keys`."""
    return [cause for key in keys for cause in fields.non_negative(f"{path}.{key}", obj.get(key))]


def not_above(
    path: str, obj: Mapping[str, Any], keys: Iterable[str], limit: str, detail: str
) -> list[Cause]:
    """The fields of `obj` among `keys` that are above its field `limit`."""
    bound = obj.get(limit) or 0
    return [
        fields.invalid(f"{path}.{key}", obj.get(key), detail)
        for key in keys
        if (obj.get(key) or 0) > bound
    ]


def not_decremented(path: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """status.collisionCount may only grow: `path` is the status's, the mappings are the statuses."""
    before = old.get("collisionCount")
    now = new.get("collisionCount")
    if before is not None and (now is None or now < before):
        return [fields.invalid(f"{path}.collisionCount", now or 0, "cannot be decremented")]
    return []


def non_negative_quantity(path: str, value: Any) -> list[Cause]:
    """A quantity below zero; what is no quantity at all is refused when the body is read."""
    if quantity.is_valid(value) and quantity.parse(value) < 0:
        detail = "must be greater than or equal to 0"
        return [fields.invalid(path, quantity.canonical(value), detail)]
    return []


def is_equal(left: Any, right: Any) -> bool:
    """Whether two quantities are the same amount, however they are written."""
    if not quantity.is_valid(left) or not quantity.is_valid(right):
        return bool(left == right)
    return quantity.parse(left) == quantity.parse(right)


def canonical_quantities(obj: Any, *keys: str) -> None:
    """Write the quantities in the named maps of `obj` (`limits`, `requests`) as the API stores them, in place."""
    for key in keys:
        rows = obj.get(key) if isinstance(obj, dict) else None
        if isinstance(rows, dict):
            for name, value in rows.items():
                if quantity.is_valid(value):
                    rows[name] = quantity.canonical(value)
