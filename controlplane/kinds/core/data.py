"""What ConfigMaps and Secrets have in common: keys with bytes, at most a MiB, that can be frozen."""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

MAX_BYTES = 1024 * 1024
"""The most that the values of one object may add up to."""


_WHEN_IMMUTABLE = "field is immutable when `immutable` is set"


def length(value: Any) -> int:
    """How many bytes a value in base64 holds."""
    text = str(value or "")
    return len(text) * 3 // 4 - text.count("=")


def kept_when_immutable(new: Obj, old: Obj, *keys: str) -> list[Cause]:
    """Objects marked immutable stay so, and `keys` as they are."""
    if not old.get("immutable"):
        return []
    causes: list[Cause] = []
    if not new.get("immutable"):
        causes.append(fields.forbidden("immutable", _WHEN_IMMUTABLE))
    return causes + [
        fields.forbidden(key, _WHEN_IMMUTABLE)
        for key in keys
        if (new.get(key) or {}) != (old.get(key) or {})
    ]
