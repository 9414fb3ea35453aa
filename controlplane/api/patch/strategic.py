"""Strategic merge patch: merge by the schema's patch strategies and merge keys.

`apply(live, patch, schema) -> new`, pure. Directives (apimachinery's strategicpatch): `$patch` in a
map (replace, delete, merge) or as a list element (replace; delete with a merge key), `$retainKeys`,
`$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`; null deletes a field.

Order of a merged list: elements the patch names stand in the patch's order, those only the server
has keep their place among them; an element new to the server goes behind.
Types without a schema (custom resources) are refused by the caller with 415.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import APIError, BadRequest
from controlplane.api.meta import Obj, copy_of
from controlplane.api.patch import typed
from controlplane.api.schema.builtin import Schema

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_BAD_RETAIN = "invalid patch format of retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def apply(live: Obj, patch: Obj, schema: Schema | None) -> Obj:
    """A new object with the patch merged in; BadRequest when the patch makes no sense."""
    return _merge_map(copy_of(live), copy_of(patch), schema)


def _merge_map(original: Obj, patch: Obj, schema: Schema | None) -> Obj:
    directive = patch.pop(_DIRECTIVE, None)
    if directive == "replace":
        return _plain_map(patch)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        # Compat: a plain error of the original's, which its edge makes a 500 without a reason.
        shown = typed.shown({_DIRECTIVE: directive, **patch})
        raise APIError(f"unknown patch type: {directive} in map: {shown}")
    _retain(original, patch)
    orders = {
        key.removeprefix(_ORDER): patch.pop(key) for key in list(patch) if key.startswith(_ORDER)
    }
    for key in [key for key in patch if key.startswith(_DELETE)]:
        _delete_primitives(original, key.removeprefix(_DELETE), patch.pop(key))
    for key, value in patch.items():
        child = schema.child(key) if schema is not None else None
        if value is None:
            original.pop(key, None)
        elif key not in original:
            original[key] = _plain(value)
        else:
            original[key] = _merge_value(original[key], value, child, orders.get(key))
    for key, order in orders.items():
        if isinstance(original.get(key), list) and isinstance(order, list):
            child = schema.child(key) if schema is not None else None
            merge_key = child.patch_merge_key if child is not None else ""
            original[key] = _in_order(original[key], order, original[key], merge_key)
    return original


def _retain(original: Obj, patch: Obj) -> None:
    keep = patch.pop(_RETAIN, None)
    if keep is None:
        return
    if not isinstance(keep, list):
        raise BadRequest(_BAD_RETAIN)
    for key, value in patch.items():
        if value is not None and not key.startswith("$") and key not in keep:
            raise BadRequest(_BAD_RETAIN)
    for key in [key for key in original if key not in keep]:
        del original[key]


def _delete_primitives(original: Obj, key: str, doomed: Any) -> None:
    present = original.get(key)
    if isinstance(present, list) and isinstance(doomed, list):
        original[key] = [item for item in present if item not in doomed]


def _merge_value(old: Any, new: Any, schema: Schema | None, order: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        if schema is not None and "replace" in schema.patch_strategies:
            return _plain(new)
        return _merge_map(old, new, schema)
    if isinstance(old, list) and isinstance(new, list):
        if schema is not None and "merge" in schema.patch_strategies:
            return _merge_list(old, new, schema, order)
        return _plain(new)
    return _plain(new)


def _merge_list(old: list[Any], new: list[Any], schema: Schema, order: Any) -> list[Any]:
    if not any(isinstance(item, dict) for item in (*old, *new)):
        merged = list(dict.fromkeys((*old, *new)))
        return _in_order(merged, order if isinstance(order, list) else new, old, "")
    key = schema.patch_merge_key
    if not key:
        raise BadRequest("the list has no merge key, its elements cannot be merged")
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in new):
        return [
            _plain(item)
            for item in new
            if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "replace")
        ]
    merged = list(old)
    named: list[Any] = []
    for item in new:
        if not isinstance(item, dict):
            raise BadRequest("elements of a list must be all maps or all plain values")
        if key not in item:
            # Compat: plain errors of the original's, which its edge makes 500s without a reason.
            shown = typed.shown(item)
            raise APIError(f"map: {shown} does not contain declared merge key: {key}")
        matches = [i for i, row in enumerate(merged) if row.get(key) == item[key]]
        directive = item.get(_DIRECTIVE)
        if directive == "merge":
            raise APIError("merging lists cannot yet be specified in the patch")
        if directive == "delete":
            merged = [row for row in merged if row.get(key) != item[key]]
            continue
        named.append(item)
        if matches:
            merged[matches[0]] = _merge_map(merged[matches[0]], dict(item), schema.items)
        else:
            merged.append(_plain(item))
    return _in_order(merged, named, old, key)


def _in_order(merged: list[Any], order: list[Any], server_order: list[Any], key: str) -> list[Any]:
    """Put the elements named by `order` in that order, weaving in those only the server has."""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    places = [identity(item) for item in server_order]
    left = [item for item in merged if identity(item) in wanted]
    left.sort(key=lambda item: wanted.index(identity(item)))
    right = [item for item in merged if identity(item) not in wanted]
    right.sort(
        key=lambda item: places.index(identity(item)) if identity(item) in places else len(places)
    )
    woven: list[Any] = []
    while left and right:
        mine, theirs = identity(left[0]), identity(right[0])
        # Compat: what only the server has goes first just where it is known to stand before.
        waits = mine in places and theirs in places and places.index(theirs) < places.index(mine)
        woven.append(right.pop(0) if waits else left.pop(0))
    return woven + left + right


def _plain(value: Any) -> Any:
    """A patch value that has nothing to merge with: directives and nulls fall away."""
    if isinstance(value, dict):
        return {} if value.get(_DIRECTIVE) == "delete" else _plain_map(value)
    if isinstance(value, list):
        return [
            _plain(item)
            for item in value
            if not (isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace"))
        ]
    return value


def _plain_map(value: Obj) -> Obj:
    return {
        key: _plain(item)
        for key, item in value.items()
        if item is not None and not key.startswith("$")
    }
