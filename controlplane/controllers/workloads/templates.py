"""When two pod templates make the same Pods, and a short name for what is in one: pure."""

import json
from typing import Any

from controlplane.api import names
from controlplane.api.meta import Obj

# Fields that are maps: an empty one is the same as none. An empty struct is not: `emptyDir: {}` means something.
_MAPS = frozenset({"annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"})


def without_nothing(value: Any) -> Any:
    """The template as Go's semantic comparison sees it: null, empty lists and empty maps are as good as absent.

    kubectl writes `creationTimestamp: null`; a patch that takes the last annotation away leaves `annotations: {}`.
    """
    if isinstance(value, dict):
        cleaned = {name: without_nothing(item) for name, item in value.items()}
        return {
            name: item
            for name, item in cleaned.items()
            if item is not None and item != [] and not (item == {} and name in _MAPS)
        }
    if isinstance(value, list):
        return [without_nothing(item) for item in value]
    return value


def digest(value: Any, collision_count: int = 0) -> str:
    """A name-safe text that differs between values: FNV-1a of the canonical JSON, spelled as generated names are.

    The value differs from upstream's for the same template; only its stability matters.
    """
    text = json.dumps(value, sort_keys=True) + (str(collision_count) if collision_count else "")
    return names.safe_encode(names.fnv1a_32(text.encode()))


def same(left: Obj, right: Obj) -> bool:
    """Whether two templates, or other parts of specs, mean the same."""
    return bool(without_nothing(left) == without_nothing(right))
