"""What the schema does not name is dropped from a custom resource; nulls that no field may be, too.

Source: apiextensions-apiserver/pkg/apiserver/schema/pruning and .../defaulting/prune.go.
"""

from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.schema.structural.node import MISSING, TYPE_META, Node

_NOTHING = Node()


def prune(obj: Obj, root: Node) -> list[str]:
    """Drop unknown fields of a whole object in place; their paths, sorted. Type and metadata always stay."""
    unknown: list[str] = []
    _prune(obj, root, "", unknown, is_resource=True)
    return sorted(unknown)


def _prune(
    value: Any, node: Node, path: str, unknown: list[str], *, is_resource: bool = False
) -> None:
    if isinstance(value, list):
        for number, item in enumerate(value):
            inner = node.items
            if inner is not None:
                _prune(item, inner, f"{path}[{number}]", unknown)
            elif not node.preserves_unknown:
                _prune(item, _NOTHING, f"{path}[{number}]", unknown)
        return
    if not isinstance(value, dict):
        return
    for key in list(value):
        if (is_resource or node.is_embedded) and key in TYPE_META:
            continue
        where = f"{path}.{key}" if path else key
        inner = node.child(key)
        if inner is not None:
            _prune(value[key], inner, where, unknown)
        elif not node.preserves_unknown and not node.takes_any_property:
            unknown.append(where)
            del value[key]


def drop_nulls(value: Any, node: Node) -> None:
    """Drop nulls of fields that may not be null and have no default; in place."""
    if isinstance(value, list):
        if node.items is not None:
            for item in value:
                drop_nulls(item, node.items)
        return
    if not isinstance(value, dict):
        return
    for key in list(value):
        inner = node.child(key)
        if inner is None:
            continue
        if value[key] is None and not inner.is_nullable and inner.default is MISSING:
            # Any value may stand where no type is said, null as well.
            if inner.types:
                del value[key]
        else:
            drop_nulls(value[key], inner)
