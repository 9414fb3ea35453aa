"""Sets of fields, as server-side apply and managedFields know them.

A path is a tuple of elements in FieldsV1's own spelling: `f:name` (field or map key),
`k:{"name":"x"}` (element of a map-like list) and `v:"x"` (element of a set). A FieldsV1 tree and a set of paths turn
into each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from controlplane.api.meta import Obj

Path = tuple[str, ...]


def encode(value: Any) -> str:
    """Compact JSON as in FieldsV1 keys."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


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
