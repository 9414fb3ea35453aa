"""additionalPrinterColumns: cells by JSONPath, converted to the type of their column.

Source: apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonpath

from controlplane.api import times
from controlplane.api.meta import Obj
from controlplane.api.table import cells
from controlplane.api.table.columns import NAME, Column

AGE = Column(
    "Age", cells.age, type="date", description="When the object was created, by the server's clock."
)


def columns(definitions: Sequence[Mapping[str, Any]] | None) -> tuple[Column, ...]:
    """The columns of a version: the name and what is defined; name and age when nothing is."""
    if not definitions:
        return (NAME, AGE)
    return (
        NAME,
        *(
            Column(
                str(one.get("name") or ""),
                _cell(str(one.get("jsonPath") or ""), str(one.get("type") or "")),
                int(one.get("priority") or 0),
                str(one.get("type") or ""),
                str(one.get("format") or ""),
                str(one.get("description") or ""),
            )
            for one in definitions
        ),
    )


def finder(path: str) -> Callable[[Obj], list[Any]]:
    """What a path such as `.status.conditions[?(@.type=="Ready")].status` finds; nothing for a path that is none."""
    try:
        compiled = jsonpath.compile(_rooted(path))
    except jsonpath.JSONPathError:
        return lambda obj: []
    return lambda obj: compiled.findall(obj)


def _rooted(path: str) -> str:
    path = path.strip().removeprefix("{").removesuffix("}")
    return "$" + path if path.startswith((".", "[")) else "$." + path


def _cell(path: str, kind: str) -> Callable[[Obj, float], Any]:
    find, convert = finder(path), _CONVERSIONS.get(kind, _text)

    def cell(obj: Obj, now: float) -> Any:
        found = find(obj)
        return convert(found[0], now) if found and found[0] is not None else None

    return cell


def _integer(value: Any, now: float) -> Any:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any, now: float) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any, now: float) -> Any:
    return value if isinstance(value, bool) else None


def _date(value: Any, now: float) -> Any:
    if times.parse_or_none(str(value)) is None:
        return "<invalid>"
    return times.age(str(value), now)


def _text(value: Any, now: float) -> Any:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


_CONVERSIONS: dict[str, Callable[[Any, float], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "string": _text,
}
