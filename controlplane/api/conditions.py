"""Conditions of a status: get, and set with a transition time that moves only on change."""

from __future__ import annotations

from typing import Any

from controlplane.api.meta import View

Condition = dict[str, Any]


def get(obj: View, kind: str) -> Condition | None:
    """The condition of a type in obj.status.conditions, None when absent."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            found: Condition = condition
            return found
    return None


def status_of(obj: View, kind: str) -> str:
    """`True`, `False` or `Unknown`; an absent condition is `Unknown`."""
    condition = get(obj, kind)
    return str(condition.get("status") or "Unknown") if condition else "Unknown"


def is_true(obj: View, kind: str) -> bool:
    """Whether the condition stands at True."""
    return status_of(obj, kind) == "True"


def set(conditions: list[Condition], new: Condition, now: str) -> bool:
    """Put `new` among the conditions; True when anything changed.

    `now` is RFC 3339 text. lastTransitionTime is kept while the status stays the same.
    """
    for index, old in enumerate(conditions):
        if old.get("type") != new["type"]:
            continue
        moved = old.get("status") != new.get("status")
        at = now if moved else old.get("lastTransitionTime") or now
        merged = {**old, **new, "lastTransitionTime": at}
        if merged == old:
            return False
        conditions[index] = merged
        return True
    conditions.append({**new, "lastTransitionTime": new.get("lastTransitionTime") or now})
    return True


def remove(conditions: list[Condition], kind: str) -> bool:
    """Take the condition of a type away; True when there was one."""
    kept = [condition for condition in conditions if condition.get("type") != kind]
    changed = len(kept) != len(conditions)
    conditions[:] = kept
    return changed
