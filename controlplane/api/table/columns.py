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
    description="Name must be unique within a namespace.",
)
AGE = Column("Age", cells.age, description="Time since the object was created.")

DEFAULT_COLUMNS: tuple[Column, ...] = (
    NAME,
    Column(
        "Created At",
        cells.field("metadata.creationTimestamp"),
        type="date",
        description="When the object was created.",
    ),
)
