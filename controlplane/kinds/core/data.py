"""What ConfigMaps and Secrets have in common: keys with bytes, at most a MiB, that can be frozen."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

MAX_BYTES = 1024 * 1024
"""The most that the values of one object may add up to."""


_WHEN_IMMUTABLE = "field is immutable when `immutable` is set"


def base64_text(value: Any, path: str) -> list[Cause]:
    """The cause in a value that is to be base64."""
    try:
        base64.b64decode(str(value or ""), validate=True)
    except (binascii.Error, ValueError):
        return [fields.invalid(path, "<value>", "illegal base64 data")]
    return []


def kept_when_immutable(new: Obj, old: Obj) -> list[Cause]:
    """ConfigMaps and Secrets marked immutable stay so, and as they are."""
    causes: list[Cause] = []
    if old.get("immutable"):
        if not new.get("immutable"):
            causes.append(fields.forbidden("immutable", _WHEN_IMMUTABLE))
        for key in ("data", "binaryData"):
            if (new.get(key) or {}) != (old.get(key) or {}):
                causes.append(fields.forbidden(key, _WHEN_IMMUTABLE))
    return causes
