"""Objects with types, as server-side apply sees them: which fields they have, how two differ, how they merge.

The rules are those of sigs.k8s.io/structured-merge-diff. A struct or map is granular (its fields are owned one by one)
or atomic; a list is atomic, a set of scalars, or a list of structs told apart by key fields. What has no schema is
taken as it looks: maps granular, lists atomic. A field that is absent and one that is null differ.

Paths are tuples in FieldsV1's spelling (`field_set`). All functions are pure and share parts of what they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.meta import Obj
from controlplane.api.patch.field_set import Path, encode, show
from controlplane.api.schema.builtin import KEY_DEFAULTS, Schema

_ABSENT = object()


class TypedError(ValueError):
    """A value that does not have its type: `.spec.foo: field not declared in schema`."""


@dataclass(slots=True)
class Comparison:
    """How a value became another: the paths that were added, modified and removed."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    def without(self, ignored: Iterable[Path]) -> Comparison:
        """The same but for what lies at or below `ignored`."""
        return Comparison(
            without(self.added, ignored),
            without(self.modified, ignored),
            without(self.removed, ignored),
        )


def without(paths: set[Path], ignored: Iterable[Path]) -> set[Path]:
    """The paths that do not lie at or below one of `ignored`."""
    prefixes = tuple(ignored)
    if not prefixes:
        return paths
    return {path for path in paths if not any(path[: len(p)] == p for p in prefixes)}


def _is_granular_map(schema: Schema | None) -> bool:
    if schema is None:
        return True
    return schema.type == "object" and not schema.is_atomic_map


def _is_granular_list(schema: Schema | None) -> bool:
    return schema is not None and schema.type == "array" and schema.list_type in ("set", "map")


def _field_schema(schema: Schema | None, key: str) -> Schema | None:
    return None if schema is None else schema.child(key)


def _is_declared(schema: Schema | None, key: str) -> bool:
    return schema is not None and key in schema.properties


def element(schema: Schema, item: Any) -> str:
    """The path element of an item in a set or a list by keys; TypedError when it cannot be told."""
    if schema.list_type == "set":
        if isinstance(item, dict | list):
            raise TypedError("associative list without keys has an element that's a map type")
        return "v:" + encode(item)
    if not isinstance(item, dict):
        raise TypedError("associative list with keys may not have non-map elements")
    keys: Obj = {}
    is_named = False
    for key in schema.list_map_keys:
        if key in item:
            is_named = True
            keys[key] = item[key]
        elif key in KEY_DEFAULTS:
            keys[key] = KEY_DEFAULTS[key]
    if not is_named and not keys:
        names = ", ".join(f'"{key}"' for key in schema.list_map_keys)
        raise TypedError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return "k:" + encode(keys)


def _rows(schema: Schema, items: list[Any]) -> dict[str, list[Any]]:
    """The items by their path elements; more than one where a name stands twice."""
    rows: dict[str, list[Any]] = {}
    for item in items:
        rows.setdefault(element(schema, item), []).append(item)
    return rows


def field_set(value: Any, schema: Schema | None) -> set[Path]:
    """The fields that a value has: its leaves, the elements of its lists, the keys of its maps."""
    found: set[Path] = set()
    _collect(value, schema, (), found)
    return found


def _collect(value: Any, schema: Schema | None, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict):
        if not _is_granular_map(schema):
            found.add(path)
            return
        for key, item in value.items():
            below = (*path, "f:" + key)
            _collect(item, _field_schema(schema, key), below, found)
            is_empty = item is None or (isinstance(item, dict) and not item)
            if is_empty or not _is_declared(schema, key):
                found.add(below)
    elif isinstance(value, list):
        if not _is_granular_list(schema):
            found.add(path)
            return
        assert schema is not None
        for item in value:
            below = (*path, element(schema, item))
            _collect(item, schema.items, below, found)
            found.add(below)
    else:
        found.add(path)


def compare(left: Any, right: Any, schema: Schema | None) -> Comparison:
    """How `left` becomes `right`; elements whose name stands twice are compared as a whole."""
    result = Comparison()
    _compare(left, right, schema, (), result)
    return result


def _compare(left: Any, right: Any, schema: Schema | None, path: Path, out: Comparison) -> None:
    if left is right and left is not _ABSENT:
        return
    shape = right if right is not _ABSENT else left
    if _kind_of(left) and _kind_of(right) and _kind_of(left) is not _kind_of(right):
        _leaf(left, right, path, out)
        return
    if shape is None and left is not _ABSENT:
        shape = left
    if isinstance(shape, dict):
        if _is_granular_map(schema) and (_some(left) or _some(right)):
            _compare_maps(left, right, schema, path, out)
        else:
            _leaf(left, right, path, out)
    elif isinstance(shape, list):
        if _is_granular_list(schema) and (_some(left) or _some(right)):
            assert schema is not None
            _compare_lists(left, right, schema, path, out)
        else:
            _leaf(left, right, path, out)
    else:
        _leaf(left, right, path, out)


def _kind_of(value: Any) -> type | None:
    """dict, list, or object for a scalar; None for nothing."""
    if value is _ABSENT or value is None:
        return None
    return type(value) if isinstance(value, dict | list) else object


def _some(value: Any) -> bool:
    return value is not _ABSENT and bool(value)


def _leaf(left: Any, right: Any, path: Path, out: Comparison) -> None:
    if left is _ABSENT:
        out.added.add(path)
    elif right is _ABSENT:
        out.removed.add(path)
    elif left != right or isinstance(left, bool) != isinstance(right, bool):
        out.modified.add(path)


def _container(left: Any, right: Any, path: Path, out: Comparison) -> None:
    if left is _ABSENT:
        out.added.add(path)
    elif right is _ABSENT:
        out.removed.add(path)


def _compare_maps(
    left: Any, right: Any, schema: Schema | None, path: Path, out: Comparison
) -> None:
    before: Obj = left if isinstance(left, dict) else {}
    after: Obj = right if isinstance(right, dict) else {}
    for key, item in before.items():
        other = after.get(key, _ABSENT)
        if item is not other:
            _compare(item, other, _field_schema(schema, key), (*path, "f:" + key), out)
    for key, item in after.items():
        if key not in before:
            _compare(_ABSENT, item, _field_schema(schema, key), (*path, "f:" + key), out)
    _container(left, right, path, out)


def _compare_lists(left: Any, right: Any, schema: Schema, path: Path, out: Comparison) -> None:
    before = _rows(schema, left) if isinstance(left, list) else {}
    after = _rows(schema, right) if isinstance(right, list) else {}
    for name in dict.fromkeys((*before, *after)):
        mine, other, below = before.get(name, []), after.get(name, []), (*path, name)
        if len(mine) > 1 or len(other) > 1:
            if not mine:
                out.added.add(below)
            elif not other:
                out.removed.add(below)
            elif mine != other:
                out.modified.add(below)
        else:
            _compare(
                mine[0] if mine else _ABSENT,
                other[0] if other else _ABSENT,
                schema.items,
                below,
                out,
            )
    _container(left, right, path, out)


def merge(live: Any, config: Any, schema: Schema | None) -> Any:
    """The configuration laid over the live value: what both have is the configuration's."""
    if isinstance(live, dict) and _is_granular_map(schema):
        if config is None and live:
            # Compat: null says nothing about a map or list that has something in it.
            return live
        if isinstance(config, dict):
            result = dict(live)
            for key, value in config.items():
                known = live.get(key, _ABSENT)
                child = _field_schema(schema, key)
                result[key] = value if known is _ABSENT else merge(known, value, child)
            return result
    if isinstance(live, list) and _is_granular_list(schema):
        assert schema is not None
        if config is None and live:
            return live
        if isinstance(config, list):
            return _merge_lists(live, config, schema)
    return config


def _merge_lists(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    """Both lists' items, in the original's order.

    The configuration's items stand in its order. An item that only the live list has stays before the live item that
    followed it; where the two orders disagree about shared items, the configuration's is right.
    """
    rows, wanted = _rows(schema, live), _rows(schema, config)
    left = [element(schema, item) for item in live]
    right = list(wanted)
    shared = [name for name in right if name in rows]
    shared_at = 0
    result: list[Any] = []
    done: set[str] = set()

    def take(name: str) -> None:
        done.add(name)
        item = wanted[name][0]
        mine = rows.get(name, [])
        # Live items whose name stands twice are not merged, but replaced.
        result.append(merge(mine[0], item, schema.items) if len(mine) == 1 else item)

    place = other = 0
    while place < len(left) or other < len(right):
        expected = shared[shared_at] if shared_at < len(shared) else None
        if place < len(left) and other < len(right):
            name = left[place]
            if name == right[other]:
                take(name)
                place, other, shared_at = place + 1, other + 1, shared_at + 1
                continue
            if name in wanted and expected is not None and name != expected:
                place += 1
                continue
        if place < len(left):
            if left[place] not in wanted:
                result.append(live[place])
                place += 1
                continue
            if left[place] in done:
                place += 1
        if other < len(right):
            name = right[other]
            take(name)
            other += 1
            if name == expected:
                shared_at += 1
    return result


def remove(value: Any, doomed: set[Path], schema: Schema | None) -> Any:
    """The value without the fields in `doomed`; a map or list that is emptied by that is null."""
    return _remove(value, _tree(doomed), schema)


@dataclass(slots=True)
class _Node:
    is_member: bool = False
    children: dict[str, _Node] = field(default_factory=dict)


def _tree(paths: Iterable[Path]) -> _Node:
    root = _Node()
    for path in paths:
        node = root
        for step in path:
            node = node.children.setdefault(step, _Node())
        node.is_member = True
    return root


def _remove(value: Any, doomed: _Node, schema: Schema | None) -> Any:
    if not doomed.children:
        return value
    if isinstance(value, dict) and _is_granular_map(schema):
        result: Obj = {}
        for key, item in value.items():
            node = doomed.children.get("f:" + key)
            if node is None:
                result[key] = item
            elif not node.is_member:
                result[key] = _remove(item, node, _field_schema(schema, key))
        return result or None
    if isinstance(value, list) and _is_granular_list(schema):
        assert schema is not None
        rows: list[Any] = []
        for item in value:
            node = doomed.children.get(element(schema, item))
            if node is None:
                rows.append(item)
            elif not node.is_member:
                rows.append(_remove(item, node, schema.items))
        return rows or None
    return value


def with_named_fields(paths: AbstractSet[Path], schema: Schema | None) -> set[Path]:
    """`paths` with every declared field of a struct above one of them, which counts as set when something in it is."""
    result = set(paths)
    for path in paths:
        node = schema
        for index, step in enumerate(path[:-1]):
            if step.startswith("f:"):
                key = step[2:]
                if _is_declared(node, key):
                    result.add(path[: index + 1])
                node = _field_schema(node, key)
            else:
                node = None if node is None else node.items
    return result


def check(value: Any, schema: Schema | None) -> None:
    """TypedError when what is to be applied has undeclared fields, values of wrong types, or names that stand twice."""
    problems = list(_problems(value, schema, ""))
    if len(problems) == 1:
        raise TypedError(problems[0])
    if problems:
        raise TypedError("\n  ".join(["errors:", *problems]))


_NUMERIC = ("integer", "number")


def _problems(value: Any, schema: Schema | None, path: str) -> Iterator[str]:
    if schema is None or value is None:
        return
    if schema.type == "object":
        if not isinstance(value, dict):
            yield f"{path}: expected map, got &{{{shown(value)}}}"
            return
        for key, item in value.items():
            child = schema.child(key)
            below = f"{path}.{key}"
            if child is None and schema.properties and not schema.preserves_unknown:
                yield f"{below}: field not declared in schema"
            else:
                yield from _problems(item, child, below)
    elif schema.type == "array":
        if not isinstance(value, list):
            yield f"{path}: expected list, got &{{{shown(value)}}}"
        else:
            yield from _list_problems(value, schema, path)
    elif schema.type in _NUMERIC and (
        isinstance(value, bool) or not isinstance(value, int | float)
    ):
        yield f"{path}: expected numeric (int or float), got {_go_type(value)}"
    elif schema.type == "string" and not isinstance(value, str):
        yield f"{path}: expected string, got &value.valueUnstructured{{Value:{shown(value)}}}"
    elif schema.type == "boolean" and not isinstance(value, bool):
        yield f"{path}: expected boolean, got &{{{shown(value)}}}"


def _list_problems(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(value):
        below = f"{path}[{index}]"
        if _is_granular_list(schema):
            try:
                name = element(schema, item)
            except TypedError as error:
                yield f"{path}: element {index}: {error}"
                return
            below = path + show((name,))
            if name in seen:
                yield f"{path}: duplicate entries for key {show((name,))}"
            seen.add(name)
        yield from _problems(item, schema.items, below)


def shown(value: Any) -> str:
    """A JSON value as Go prints it: `[a b]`, `map[k:v]`, `<nil>`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(shown(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"
