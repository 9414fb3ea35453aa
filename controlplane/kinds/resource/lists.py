"""Lists that have a limit, and whose items are told apart by a key. A list over its limit is not looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

Rule = Callable[[str, Any], list[Cause]]


def validate_items(path: str, items: Sequence[Any] | None, limit: int, rule: Rule) -> list[Cause]:
    """Causes in the items, by `rule(path, item)`; a limit below zero is none."""
    items = items or []
    if 0 <= limit < len(items):
        return [fields.too_many(path, len(items), limit)]
    return [cause for index, item in enumerate(items) for cause in rule(f"{path}[{index}]", item)]


def validate_set(
    path: str,
    items: Sequence[Any] | None,
    limit: int,
    rule: Rule,
    key: Callable[[Any], Any] = str,
) -> list[Cause]:
    """Causes in the items, and those that come twice."""
    items = items or []
    causes = validate_items(path, items, limit, rule)
    if 0 <= limit < len(items):
        return causes
    seen: set[Any] = set()
    for index, item in enumerate(items):
        found = key(item)
        if found in seen:
            causes.append(fields.duplicate(f"{path}[{index}]", found))
        seen.add(found)
    return causes


def alternatives(words: Iterable[str]) -> str:
    """Fields that are set together and may not be."""
    return "{" + ", ".join(f"`{word}`" for word in words) + "}"
