"""Sets of fields, as server-side apply and managedFields know them.

A path is a tuple of elements in FieldsV1's own spelling: `f:name` (field or map key),
`k:{"name":"x"}` (element of a map-like list) and `v:"x"` (element of a set). `flatten` gives an
object's owned paths with their values; a FieldsV1 tree and a set of paths turn into each other.
Atomic lists and maps are one path with the whole value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.schema.builtin import KEY_DEFAULTS, Schema

Path = tuple[str, ...]

# The value of a path that stands for an element's or key's being there.
PRESENT = object()


def encode(value: Any) -> str:
    """Compact JSON as in FieldsV1 keys."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def element(schema: Schema, item: Any) -> str:
    """The path element of an item in a set or a map-like list."""
    if schema.list_type == "set":
        return "v:" + encode(item)
    keys = {
        key: item.get(key, KEY_DEFAULTS.get(key))
        for key in schema.list_map_keys
        if item.get(key, KEY_DEFAULTS.get(key)) is not None
    }
    return "k:" + encode(keys)


def is_granular_list(schema: Schema | None, value: list[Any]) -> bool:
    """Whether the elements of a list are owned one by one."""
    if schema is None or schema.list_type not in ("set", "map"):
        return False
    return schema.list_type == "set" or all(isinstance(item, dict) for item in value)


def is_granular_map(schema: Schema | None) -> bool:
    """Whether the entries of a map or struct are owned one by one."""
    return schema is not None and schema.type == "object" and not schema.is_atomic_map


def flatten(value: Any, schema: Schema | None, path: Path = ()) -> dict[Path, Any]:
    """All owned paths of a value with the values at them."""
    found: dict[Path, Any] = {}
    _flatten(value, schema, path, found)
    return found


def _flatten(value: Any, schema: Schema | None, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and (is_granular_map(schema) or not path) and schema is not None:
        if not value:
            found[path] = PRESENT
        for key, item in value.items():
            if item is None:
                continue
            below = (*path, "f:" + key)
            if key not in schema.properties and isinstance(item, dict | list):
                found[below] = PRESENT
            _flatten(item, schema.child(key), below, found)
    elif isinstance(value, list) and schema is not None and is_granular_list(schema, value):
        for item in value:
            below = (*path, element(schema, item))
            found[below] = PRESENT
            if isinstance(item, dict):
                _flatten(item, schema.items, below, found)
    else:
        found[path] = value


def to_fields_v1(paths: Iterable[Path]) -> Obj:
    """The FieldsV1 tree of a set of paths."""
    root: Obj = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return _collapse(root)


def _collapse(node: Obj) -> Obj:
    """A leaf is written `{}`; `.` is only needed where a member has members below it."""
    if set(node) == {"."}:
        return {}
    return {key: {} if key == "." else _collapse(item) for key, item in node.items()}


def from_fields_v1(tree: Obj | None) -> set[Path]:
    """The set of paths of a FieldsV1 tree."""
    found: set[Path] = set()
    if tree:
        _collect(tree, (), found)
    return found


def _collect(node: Obj, path: Path, found: set[Path]) -> None:
    if not node and path:
        found.add(path)
    for key, item in node.items():
        if key == ".":
            found.add(path)
        elif isinstance(item, dict):
            _collect(item, (*path, key), found)


def show(path: Path) -> str:
    """A path as messages show it: `.spec.containers[name="x"].image`."""
    text = ""
    for step in path:
        kind, body = step[:2], step[2:]
        if kind == "f:":
            text += "." + body
        elif kind == "k:":
            keys = json.loads(body)
            text += "[" + ",".join(f"{key}={encode(keys[key])}" for key in sorted(keys)) + "]"
        else:
            text += f"[={body}]" if kind == "v:" else f"[{body}]"
    return text
