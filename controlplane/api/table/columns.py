"""Columns of `kubectl get`: headings, and how their cells are filled.

Columns of priority 1 are those of `-o wide`; the client hides them, so every column is always sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.table import cells

Cell = Callable[[Obj, float], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: heading, how to fill it, and 1 for those of `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"
    format: str = ""
    description: str = ""

    def definition(self) -> Obj:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


NAME = Column(
    "Name",
    cells.name,
    format="name",
    description=(
        "Name must be unique within a namespace. Is required when creating resources, although "
        "some resources may allow a client to request the generation of an appropriate name "
        "automatically. Name is primarily intended for creation idempotence and configuration "
        "definition. Cannot be updated. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
)
AGE = Column(
    "Age",
    cells.age,
    description=(
        "CreationTimestamp is a timestamp representing the server time when this object was "
        "created. It is not guaranteed to be set in happens-before order across separate "
        "operations. Clients may not set this value. It is represented in RFC3339 form and is "
        "in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
        "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    ),
)

DEFAULT_COLUMNS: tuple[Column, ...] = (
    NAME,
    Column(
        "Created At",
        cells.field("metadata.creationTimestamp"),
        type="date",
        description="When the object was created.",
    ),
)
