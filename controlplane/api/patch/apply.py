"""Server-side apply, and the bookkeeping of field owners for all other writes.

An object's managedFields say which manager owns which fields. Applying a configuration merges it
into the live object, gives its fields to the manager, removes what the manager applied before and
alone, and refuses to change what others own unless forced. Other writes (`track_update`) give what
they changed to the writer. Algorithm: KEP-555 and sigs.k8s.io/structured-merge-diff.

All functions are pure; `now` is RFC 3339 text. Not done: conversion of owned fields between API
versions (each kind has one), and folding of old Update entries into one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import ApplyConflict, BadRequest, Cause
from controlplane.api.meta import Obj
from controlplane.api.patch.field_set import (
    Path,
    element,
    flatten,
    from_fields_v1,
    is_granular_list,
    is_granular_map,
    show,
    to_fields_v1,
)
from controlplane.api.schema import strict
from controlplane.api.schema.builtin import Schema

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"
KUBECTL_MANAGER = "kubectl"

# The server's own fields: nobody manages them.
_UNMANAGED: tuple[Path, ...] = (
    ("f:apiVersion",),
    ("f:kind",),
    *(
        ("f:metadata", "f:" + name)
        for name in (
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "selfLink",
            "generateName",
        )
    ),
)


@dataclass(slots=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    paths: set[Path] = field(default_factory=set)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes two writes the same manager's."""
        return (self.name, self.operation, self.api_version, self.subresource)

    def shown(self) -> str:
        """The manager as conflict messages name it."""
        text = json.dumps(self.name)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        if self.operation == "Update":
            text += f" using {self.api_version}"
            if self.time:
                text += f" at {self.time}"
        return text

    def to_dict(self) -> Obj:
        """The ManagedFieldsEntry."""
        entry: Obj = {"manager": self.name, "operation": self.operation}
        entry["apiVersion"] = self.api_version
        if self.time:
            entry["time"] = self.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = to_fields_v1(self.paths)
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def managers_of(obj: Obj) -> list[Manager]:
    """The managers of an object; entries that say nothing are dropped."""
    return [
        Manager(
            str(entry.get("manager") or ""),
            str(entry.get("operation") or ""),
            str(entry.get("apiVersion") or ""),
            str(entry.get("subresource") or ""),
            str(entry.get("time") or ""),
            from_fields_v1(entry.get("fieldsV1")),
        )
        for entry in meta.metadata(obj).get("managedFields") or ()
        if entry and entry.get("operation") in ("Apply", "Update")
    ]


def _write(obj: Obj, managers: Iterable[Manager]) -> None:
    rows = [manager for manager in managers if manager.paths]
    # Applied before updated, then by age and name, so that equal states are equal bytes.
    rows.sort(key=lambda m: (m.operation, m.time, m.name, m.subresource))
    md = meta.ensure_metadata(obj)
    if rows:
        md["managedFields"] = [manager.to_dict() for manager in rows]
    else:
        md.pop("managedFields", None)


def _owned(obj: Obj, schema: Schema, ignored: Iterable[Path]) -> dict[Path, Any]:
    prefixes = (*_UNMANAGED, *ignored)
    return {
        path: value
        for path, value in flatten(obj, schema).items()
        if path and path != ("f:metadata",) and not any(path[: len(p)] == p for p in prefixes)
    }


def ignored_fields(resource_has_status: bool, subresource: str) -> tuple[Path, ...]:
    """The parts a request to an endpoint cannot write, which it therefore never owns."""
    if subresource == "status":
        return (("f:spec",),)
    return (("f:status",),) if resource_has_status else ()


def apply(
    live: Obj | None,
    config: Obj,
    schema: Schema | None,
    *,
    manager: str,
    now: str,
    force: bool = False,
    subresource: str = "",
    ignored: Iterable[Path] = (),
) -> Obj:
    """The object after applying `config`; `live` None creates it.

    Returns an object equal to `live` when nothing changes, so that the caller can skip the write.
    ApplyConflict names the fields others own; BadRequest when the configuration is malformed.
    """
    ignored = tuple(ignored)
    if schema is None:
        raise BadRequest(f"no schema of {config.get('kind')} is known, it cannot be applied")
    _check(config, schema)
    config = copy.deepcopy(config)
    meta.ensure_metadata(config).pop("managedFields", None)
    wanted = _owned(config, schema, ignored)
    base = live if live is not None else {}
    managers = managers_of(base)
    before = _owned(base, schema, ignored)
    if live is not None and not managers:
        # Compat: upstream keeps what was there before the first apply from being taken silently.
        owner = Manager(
            BEFORE_FIRST_APPLY, "Update", str(config["apiVersion"]), "", now, set(before)
        )
        managers.append(owner)
    mine = Manager(manager, "Apply", str(config["apiVersion"]), subresource, now)
    previous = next((m for m in managers if m.identity == mine.identity), None)
    others = [m for m in managers if m is not previous]
    new: Obj = merge(base, _without(config, ignored), schema)
    if previous is not None:
        gone = previous.paths - set(wanted)
        held = {path for other in others for path in other.paths}
        new = _remove(new, schema, (), gone, held)
    after = _owned(new, schema, ignored)
    changed = {p for p, v in after.items() if p not in before or before[p] != v}
    removed = set(before) - set(after)
    conflicts = _conflicts(others, changed, base, schema, manager)
    if conflicts and not force:
        raise _conflict_error(conflicts)
    for other in others:
        other.paths -= changed | removed
    mine.paths = set(wanted)
    unchanged = previous is not None and previous.paths == mine.paths and not changed | removed
    if unchanged and previous is not None:
        mine.time = previous.time
    _write(new, [*others, mine])
    return new


def _check(config: Obj, schema: Schema) -> None:
    if meta.metadata(config).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    unknown = strict.unknown_fields(config, schema)
    wrong = strict.type_errors(config, schema)
    name = f"{meta.namespace(config)}/{meta.name(config)}; {config.get('apiVersion')}, Kind="
    for problem in (*unknown, *wrong):
        shown = problem
        if problem.startswith("unknown field "):
            shown = "." + problem.split('"')[1] + ": field not declared in schema"
        raise BadRequest(
            f"failed to create typed patch object ({name}{config.get('kind')}): {shown}"
        )


def _without(config: Obj, ignored: Iterable[Path]) -> Obj:
    return {key: value for key, value in config.items() if ("f:" + key,) not in tuple(ignored)}


def _conflicts(
    others: list[Manager], changed: set[Path], live: Obj, schema: Schema, manager: str
) -> list[tuple[Manager, Path]]:
    allowed: set[Path] = set()
    if manager == KUBECTL_MANAGER:
        allowed = _last_applied(live, schema)
    return [
        (other, path)
        for other in sorted(others, key=lambda m: m.identity)
        for path in sorted(other.paths & changed)
        if path not in allowed
    ]


def _last_applied(live: Obj, schema: Schema) -> set[Path]:
    """Fields kubectl itself applied from the client's side, and which nobody changed since."""
    text = meta.annotations(live).get(LAST_APPLIED)
    try:
        config = json.loads(text or "null")
    except ValueError:
        return set()
    if not isinstance(config, dict):
        return set()
    present = flatten(live, schema)
    mine = {path for path, value in flatten(config, schema).items() if present.get(path) == value}
    return {*mine, ("f:metadata", "f:annotations", "f:" + LAST_APPLIED)}


def _conflict_error(conflicts: list[tuple[Manager, Path]]) -> ApplyConflict:
    causes = [
        Cause(show(path), f"conflict with {manager.shown()}", "FieldManagerConflict")
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        text = f"Apply failed with 1 conflict: conflict with {manager.shown()}: {show(path)}"
    else:
        lines: list[str] = []
        for shown in dict.fromkeys(manager.shown() for manager, _ in conflicts):
            lines.append(f"conflicts with {shown}:")
            lines += [f"- {show(path)}" for m, path in conflicts if m.shown() == shown]
        text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return ApplyConflict(text, causes=causes)


def merge(live: Any, config: Any, schema: Schema | None) -> Any:
    """A new value with the configuration's fields laid over the live ones."""
    if isinstance(live, dict) and isinstance(config, dict) and is_granular_map(schema):
        assert schema is not None
        result = {key: copy.deepcopy(value) for key, value in live.items()}
        for key, value in config.items():
            if value is not None:
                result[key] = merge(live.get(key), value, schema.child(key))
        return result
    if (
        isinstance(live, list)
        and isinstance(config, list)
        and schema is not None
        and is_granular_list(schema, config)
        and is_granular_list(schema, live)
    ):
        return _merge_list(live, config, schema)
    return copy.deepcopy(config)


def _merge_list(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    rows = {element(schema, item): item for item in live}
    wanted = {element(schema, item): item for item in config}
    result: list[Any] = []
    pending = list(wanted)
    for key, item in rows.items():
        if key not in wanted:
            result.append(copy.deepcopy(item))
            continue
        # Elements both have take the configuration's order, in the places they had.
        nearest = next(k for k in pending if k in rows)
        while pending:
            first = pending.pop(0)
            result.append(merge(rows.get(first), wanted[first], schema.items))
            if first == nearest:
                break
    result += [copy.deepcopy(wanted[key]) for key in pending]
    return result


def _remove(value: Any, schema: Schema | None, path: Path, gone: set[Path], held: set[Path]) -> Any:
    """Take away the paths in `gone` that no other manager holds, directly or below."""
    if isinstance(value, dict) and is_granular_map(schema):
        assert schema is not None
        result: Obj = {}
        for key, item in value.items():
            below = (*path, "f:" + key)
            if _doomed(below, gone, held):
                continue
            kept = _remove(item, schema.child(key), below, gone, held)
            # What was emptied by the removal goes as well.
            if kept or not item or isinstance(item, int | float):
                result[key] = kept
        return result
    if isinstance(value, list) and schema is not None and is_granular_list(schema, value):
        rows: list[Any] = []
        for item in value:
            below = (*path, element(schema, item))
            if _doomed(below, gone, held):
                continue
            kept = _remove(item, schema.items, below, gone, held)
            if isinstance(item, dict):
                # An element that stays keeps its name.
                kept = {**{k: item[k] for k in schema.list_map_keys if k in item}, **kept}
            rows.append(kept)
        return rows
    return value


def _doomed(path: Path, gone: set[Path], held: set[Path]) -> bool:
    if path not in gone:
        return False
    return not any(other[: len(path)] == path for other in held)


def track_update(
    live: Obj | None,
    new: Obj,
    schema: Schema | None,
    *,
    manager: str,
    now: str,
    subresource: str = "",
    ignored: Iterable[Path] = (),
) -> None:
    """Write managedFields of `new` in place after a create, update or patch by `manager`.

    An explicit `managedFields: [{}]` (or an empty list, on update) resets ownership, as upstream.
    Types without a schema are left alone.
    """
    if schema is None:
        return
    sent = meta.metadata(new).get("managedFields")
    reset = sent is not None and not any(sent) and live is not None
    if reset:
        meta.metadata(new).pop("managedFields", None)
        return
    source = new if sent else (live or {})
    managers = managers_of(source)
    ignored = tuple(ignored)
    before = _owned(live, schema, ignored) if live is not None else {}
    after = _owned(new, schema, ignored)
    changed = {p for p, v in after.items() if p not in before or before[p] != v}
    removed = set(before) - set(after)
    if changed or removed:
        mine = Manager(manager, "Update", str(new["apiVersion"]), subresource, now)
        previous = next((m for m in managers if m.identity == mine.identity), None)
        for other in managers:
            other.paths -= changed | removed
        if changed:
            mine.paths = changed | (previous.paths if previous is not None else set())
            managers = [m for m in managers if m is not previous] + [mine]
    _write(new, managers)
