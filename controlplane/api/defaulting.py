"""Two words in which defaults are written."""

from __future__ import annotations

from typing import Any

from controlplane.api.meta import Obj


def part(obj: Obj, key: str) -> Obj:
    """A dict field, made when missing or null."""
    value = obj.get(key)
    if not isinstance(value, dict):
        value = obj[key] = {}
    return value


def set_missing(obj: Obj, key: str, value: Any) -> None:
    """Set when missing, null or empty text: Go cannot tell those apart."""
    if obj.get(key) is None or obj.get(key) == "":
        obj[key] = value
