"""How upstream prints a whole struct in the message of a refusal.

Its validators see internal types, which have no JSON tags: the fields of such a struct appear under their Go names, all
of them, in the order of declaration, with explicit zeros and nulls. A `Shape` describes one such struct by the fields
(Go name, JSON name, what stands for an absent value); only structs that refusals really show have one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """A Go struct: its fields in order.

    The third part of a field is the value of an absent one (None, "", 0, False), or a Shape for an embedded struct, or
    `Pointer` or `Items` of a Shape. An empty JSON name stands for a struct that is inlined in the JSON form.
    """

    fields: tuple[tuple[str, str, Any], ...]

    def of(self, value: Mapping[str, Any] | None) -> dict[str, Any]:
        """The struct's fields by their Go names."""
        given = value or {}
        return {
            go_name: _shown(given if not json_name else given.get(json_name), absent)
            for go_name, json_name, absent in self.fields
        }


@dataclass(frozen=True, slots=True)
class Pointer:
    """A field that is null when it is absent."""

    to: Shape


@dataclass(frozen=True, slots=True)
class Items:
    """A list of structs, null when it is absent."""

    of: Shape


def _shown(value: Any, absent: Any) -> Any:
    if isinstance(absent, Shape):
        return absent.of(value)
    if isinstance(absent, Pointer):
        return None if value is None else absent.to.of(value)
    if isinstance(absent, Items):
        return None if value is None else [absent.of.of(item) for item in value]
    return absent if value is None else value


def difference(old: Any, new: Any) -> str:
    """The unified diff of two values as indented JSON, which upstream appends where a spec may not change.

    Field names are those of the JSON form; upstream's are Go names.
    """
    before, after = (
        json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (old, new)
    )
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    return "\n".join(["--- ", "+++ ", *lines, ""]) if lines else ""
