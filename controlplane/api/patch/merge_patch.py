"""RFC 7386 JSON Merge Patch: maps merge, null deletes, everything else replaces."""

from __future__ import annotations

from typing import Any

from controlplane.api.meta import copy_of_value


def apply(live: Any, patch: Any) -> Any:
    """A new value with the patch merged in; `live` is not changed."""
    if not isinstance(patch, dict):
        return copy_of_value(patch)
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    # Untouched branches of the live object must not be shared with the result.
    return {key: value if key in patch else copy_of_value(value) for key, value in result.items()}
