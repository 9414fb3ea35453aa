"""Columns of `kubectl get`: headings, and how their cells are filled.

Columns of priority 1 are those of `-o wide`; the client hides them, so every column is always sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.schema import builtin
from controlplane.api.table import cells

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

Cell = Callable[[Obj, float], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: heading, how to fill it, and 1 for those of `-o wide`.

    `documented_as` is (definition, field) of the API's schema whose description is the column's, in place of its own.
    """

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"
    format: str = ""
    description: str = ""
    documented_as: tuple[str, str] | None = None

    def definition(self) -> Obj:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self._description(),
            "priority": self.priority,
        }

    def _description(self) -> str:
        if self.documented_as is None:
            return self.description
        return builtin.description(*self.documented_as)


NAME = Column(
    "Name",
    cells.name,
    format="name",
    documented_as=(OBJECT_META, "name"),
)
AGE = Column("Age", cells.age, documented_as=(OBJECT_META, "creationTimestamp"))

DEFAULT_COLUMNS: tuple[Column, ...] = (
    NAME,
    Column(
        "Created At",
        cells.field("metadata.creationTimestamp"),
        type="date",
        documented_as=(OBJECT_META, "creationTimestamp"),
    ),
)
