"""Lists that are sets or maps: no item, or no key, twice.

Source: apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

import json
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.schema.structural.node import MISSING, Node
from controlplane.api.validation import causes


def validate(value: Any, node: Node, path: str = "") -> list[Cause]:
    """Duplicates in set and map lists, anywhere in the value."""
    if isinstance(value, dict):
        found: list[Cause] = []
        for key, item in value.items():
            inner = node.child(key)
            if inner is not None:
                is_field = key in node.properties
                where = (f"{path}.{key}" if path else key) if is_field else f"{path}[{key}]"
                found += validate(item, inner, where)
        return found
    if not isinstance(value, list):
        return []
    found = []
    if node.list_type == "set":
        found += _set(value, path)
    elif node.list_type == "map":
        found += _map(value, node, path)
    if node.items is not None:
        for number, item in enumerate(value):
            found += validate(item, node.items, f"{path}[{number}]")
    return found


def _set(items: list[Any], path: str) -> list[Cause]:
    texts = [json.dumps(item) for item in items]
    return [causes.duplicate(f"{path}[{n}]", items[n]) for n in _second(texts)]


def _second(texts: list[str]) -> list[int]:
    """Where each text that is there more than once stands for the second time."""
    counts: dict[str, int] = {}
    places = []
    for number, text in enumerate(texts):
        counts[text] = counts.get(text, 0) + 1
        if counts[text] == 2:
            places.append(number)
    return places


def _map(items: list[Any], node: Node, path: str) -> list[Cause]:
    for number, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            detail = "must be an object for an array of list-type map"
            return [causes.invalid(f"{path}[{number}]", item, detail)]
    fields = node.items.properties if node.items is not None else {}
    texts, shown = [], []
    for item in items:
        keys = {}
        for key in node.list_map_keys:
            inner = fields.get(key)
            default = inner.default if inner is not None else MISSING
            keys[key] = (item or {}).get(key, None if default is MISSING else default)
        texts.append(json.dumps(keys, sort_keys=True))
        shown.append({key: keys[key] for key in sorted(keys) if key in (item or {})})
    return [causes.duplicate(f"{path}[{n}]", shown[n]) for n in _second(texts)]
