"""Short ways to write the columns that most tables have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from controlplane.api.table import cells
from controlplane.api.table.columns import Cell, Column


def text(name: str, cell: Cell, description: str, *, is_wide: bool = False) -> Column:
    """A column of words."""
    return Column(name, cell, int(is_wide), description=description)


def integer(name: str, path: str, description: str) -> Column:
    """A column with the whole number at a dotted path, 0 when it is missing."""
    return Column(name, cells.number(path), type="integer", description=description)


def boolean(name: str, cell: Cell, description: str) -> Column:
    """A column of truth values."""
    return Column(name, cell, type="boolean", description=description)


def or_text(path: str, otherwise: str) -> Cell:
    """A cell with the text at a dotted path, `otherwise` when it is missing or empty."""
    found = cells.field(path)

    def cell(obj: dict[str, Any], now: float) -> str:
        return str(found(obj, now)) or otherwise

    return cell


def plain_bool(value: Any) -> str:
    """`True`, `False`, or `<unset>` for an absent value (upstream's printBoolPtr)."""
    if value is None:
        return "<unset>"
    return "True" if value else "False"


def through(
    convert: Callable[[dict[str, Any]], dict[str, Any]], columns: Sequence[Column]
) -> tuple[Column, ...]:
    """The columns for objects of another version: cells see the converted object."""

    def of(cell: Cell) -> Cell:
        return lambda obj, now: cell(convert(obj), now)

    return tuple(replace(column, cell=of(column.cell)) for column in columns)
