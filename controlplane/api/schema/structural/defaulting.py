"""Defaults of a custom resource's schema, filled in where a field is missing, or null and may not be.

Source: apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go.
"""

import copy
from typing import Any

from controlplane.api.schema.structural.node import MISSING, Node


def default(value: Any, node: Node) -> None:
    """Fill in defaults, in place; what a default brings is completed by the defaults inside it."""
    if isinstance(value, list):
        inner = node.items
        if inner is not None:
            for number, item in enumerate(value):
                if _is_wrong_null(item, inner):
                    value[number] = copy.deepcopy(inner.default)
                default(value[number], inner)
        return
    if not isinstance(value, dict):
        return
    for key, inner in node.properties.items():
        if inner.default is MISSING or inner.default is None:
            continue
        if key not in value or _is_wrong_null(value[key], inner):
            value[key] = copy.deepcopy(inner.default)
    for key in value:
        found = node.child(key)
        if found is None:
            continue
        if key not in node.properties and _is_wrong_null(value[key], found):
            value[key] = copy.deepcopy(found.default)
        default(value[key], found)


def _is_wrong_null(value: Any, node: Node) -> bool:
    return value is None and not node.is_nullable and node.default is not MISSING
