"""Equality as upstream's validators mean it: an empty map or list is as good as none.

Source: apimachinery/pkg/api/equality (Semantic.DeepEqual).
"""

from __future__ import annotations

from typing import Any


def is_same(left: Any, right: Any) -> bool:
    """Whether two values say the same; null, absent, `{}` and `[]` are all alike."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(is_same(left.get(key), right.get(key)) for key in {**left, **right})
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if _is_nothing(left) or _is_nothing(right):
        return _is_nothing(left) and _is_nothing(right)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _is_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_nothing(item) for item in value.values())
    return value is None or value == []
