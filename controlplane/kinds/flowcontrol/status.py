"""What both kinds of the group share: their status, and what is said of a changed mandatory object."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.strategy import SpecStrategy
from controlplane.api.validation import causes as fields


def validate_status(new: Obj, old: Obj | None = None) -> list[Cause]:
    """Causes in the conditions: each type once."""
    del old
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(meta.status(new).get("conditions") or ()):
        where, sort = f"status.conditions[{index}].type", row.get("type") or ""
        if sort in seen:
            causes.append(fields.duplicate(where, sort))
        seen.add(sort)
        if not sort:
            causes.append(fields.required(where))
    return causes


class FlowStrategy(SpecStrategy):
    """The rules of both kinds: the status is there from the start."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing is known of it yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}
