"""Server-side apply, and the bookkeeping of field owners for all other writes.

Applying a configuration merges it into the live object, gives its fields to the manager, removes what the manager
applied before and nobody else owns, and refuses to change what others own unless forced. Other writes (`track_update`)
give what they changed to the writer. Algorithm: KEP-555 and sigs.k8s.io/structured-merge-diff.

All functions are pure; `now` is RFC 3339 text. Objects are in the form in which they are stored (`schema.normal`), with
`zero` the one of a new, empty object: fields that stand there are nobody's. Owned fields are not converted between API
versions: an owner in another version keeps what the fields' names say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import APIError, ApplyConflict, BadRequest, Cause
from controlplane.api.meta import Obj
from controlplane.api.patch import managed_fields, typed
from controlplane.api.patch.field_set import Path, show
from controlplane.api.patch.managed_fields import APPLY, UPDATE, Identity, Manager
from controlplane.api.patch.typed import Comparison
from controlplane.api.schema.builtin import Schema

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"
KUBECTL_MANAGER = "kubectl"

# The server's own fields: nobody manages them, though others beside or below them are.
_UNMANAGED: frozenset[Path] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", "f:" + name)
            for name in (
                *("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName"),
                *("generation", "managedFields", "resourceVersion"),
            )
        ),
    }
)
Managers = dict[Identity, Manager]


def ignored_fields(resource_has_status: bool, subresource: str) -> tuple[Path, ...]:
    """The parts a request to an endpoint cannot write, which it therefore never owns."""
    if subresource == "status":
        return (("f:spec",),)
    if subresource == "approval":
        return (("f:spec",), ("f:status", "f:certificate"))
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
    zero: Obj | None = None,
) -> Obj:
    """The object after applying `config`; `live` None creates it.

    Returns an object equal to `live` when nothing changes, so that the caller can skip the write. ApplyConflict names
    the fields others own; BadRequest when the configuration has managedFields, APIError 500 when it is malformed.
    """
    ignored = tuple(ignored)
    if meta.metadata(config).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    try:
        typed.check(config, schema)
    except typed.TypedError as error:
        raise APIError(f"failed to create typed patch object ({_named(config)}): {error}") from None
    base = _without_record(live) if live is not None else (zero or {})
    managers = managed_fields.read(live) if live is not None else {}
    if live is not None and not managers:
        # Compat: what was there before the first apply is not taken silently.
        owner = Manager(BEFORE_FIRST_APPLY, UPDATE, str(config["apiVersion"]))
        changes = typed.compare(zero or {}, base, schema).without(ignored)
        owner.paths = (changes.added | changes.modified) - _UNMANAGED
        managers[owner.identity] = owner
    mine = Manager(manager, APPLY, str(config["apiVersion"]), subresource)
    previous = managers.get(mine.identity)
    mine.paths = typed.without(typed.field_set(config, schema), ignored) - _UNMANAGED
    mine.time = previous.time if previous is not None else ""
    managers[mine.identity] = mine
    new = typed.merge(base, config, schema)
    if previous is not None:
        new = _pruned(new, managers, mine, previous.paths, schema)
    comparison = typed.compare(base, new, schema).without(ignored)
    _hand_over(managers, mine, comparison, force, base, schema)
    if live is None or new != base:
        # Compat: taking over what is there already leaves no time.
        mine.time = now
    new = {**new, "metadata": dict(new.get("metadata") or {})}
    if manager == KUBECTL_MANAGER and LAST_APPLIED in meta.annotations(new):
        _record_last_applied(new, config)
    managed_fields.write(new, managers.values())
    return new


def _named(config: Obj) -> str:
    group, _, version = str(config.get("apiVersion", "")).rpartition("/")
    name = f"{meta.namespace(config)}/{meta.name(config)}"
    return f"{name}; {group}/{version}, Kind={config.get('kind', '')}"


def _without_record(obj: Obj) -> Obj:
    fields = {key: item for key, item in meta.metadata(obj).items() if key != "managedFields"}
    return {**obj, "metadata": fields}


def _pruned(
    merged: Obj, managers: Managers, mine: Manager, before: AbstractSet[Path], schema: Schema | None
) -> Obj:
    """`merged` without what the manager has applied before, does not apply now, and nobody else owns."""
    doomed = typed.with_named_fields(before, schema)
    pruned = typed.remove(merged, doomed, schema) or {}
    owned: set[Path] = set()
    for manager in managers.values():
        owned |= manager.paths
    # What somebody owns comes back, the applying manager's new fields among it.
    everything = typed.with_named_fields(typed.field_set(merged, schema), schema)
    left = typed.with_named_fields(typed.field_set(pruned, schema), schema)
    kept = left | typed.with_named_fields(owned, schema)
    pruned = typed.remove(merged, everything - kept, schema) or {}
    # What is gone now without ever having been the manager's hung below something that was.
    left = typed.with_named_fields(typed.field_set(pruned, schema), schema)
    gone = (everything - left) & doomed
    return typed.remove(merged, gone, schema) or {}


def _hand_over(
    managers: Managers,
    mine: Manager,
    changes: Comparison,
    force: bool,
    live: Obj,
    schema: Schema | None,
) -> None:
    """Take from the others what is changed and removed; ApplyConflict when they own it and it is not forced."""
    changed = changes.added | changes.modified
    others = [manager for manager in managers.values() if manager is not mine]
    conflicts = [
        (manager, path)
        for manager in sorted(others, key=lambda m: m.identity)
        for path in sorted(changed & manager.paths)
    ]
    if conflicts and not force:
        if mine.name == KUBECTL_MANAGER and mine.operation == APPLY:
            allowed = _last_applied(live, schema)
            conflicts = [(manager, path) for manager, path in conflicts if path not in allowed]
        if conflicts:
            raise _conflict_error(conflicts)
    _take_away(managers, others, changed | changes.removed)


def _take_away(managers: Managers, losers: Iterable[Manager], paths: set[Path]) -> None:
    """Let `losers` own `paths` no longer; those that own nothing then are dropped."""
    for manager in list(losers):
        if not manager.paths.isdisjoint(paths):
            manager.paths = manager.paths - paths
        if not manager.paths:
            del managers[manager.identity]


def _last_applied(live: Obj, schema: Schema | None) -> set[Path]:
    """Fields kubectl itself applied from the client's side, and which nobody changed since."""
    text = meta.annotations(live).get(LAST_APPLIED)
    try:
        config = json.loads(text or "null")
    except ValueError:
        return set()
    if not isinstance(config, dict):
        return set()
    changes = typed.compare(config, live, schema)
    mine = typed.field_set(config, schema) - changes.modified - changes.added - changes.removed
    return {*mine, ("f:metadata", "f:annotations", "f:" + LAST_APPLIED)}


def _record_last_applied(new: Obj, config: Obj) -> None:
    """Keep the annotation of client-side apply in step, so that an old kubectl can take over again."""
    bare = json.loads(json.dumps(config))
    fields = meta.ensure_metadata(bare)
    fields.pop("managedFields", None)
    annotations = fields.get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(LAST_APPLIED, None)
        if not annotations:
            del fields["annotations"]
    text = json.dumps(bare, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    new["metadata"]["annotations"] = {**meta.annotations(new), LAST_APPLIED: text}


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
        for shown in sorted({manager.shown() for manager, _ in conflicts}):
            lines.append(f"conflicts with {shown}:")
            lines += [f"- {show(path)}" for m, path in conflicts if m.shown() == shown]
        text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return ApplyConflict(text, causes=causes)


def track_update(
    live: Obj | None,
    new: Obj,
    schema: Schema | None,
    *,
    manager: str,
    now: str,
    subresource: str = "",
    ignored: Iterable[Path] = (),
    zero: Obj | None = None,
) -> None:
    """Write managedFields of `new` in place after a create, update or patch by `manager`.

    An explicit `managedFields: [{}]` or `[]` forgets all owners; from then on nothing is recorded until something is
    applied. A record that was sent with an update replaces the live one, but not through a subresource. Objects
    without a schema are told apart as they look.
    """
    if not subresource and live is not None and managed_fields.is_reset(new):
        meta.metadata(new).pop("managedFields", None)
        return
    managers = {} if subresource else managed_fields.read(new)
    if not managers and live is not None:
        managers = managed_fields.read(live)
    if not managers and live is not None:
        meta.ensure_metadata(new).pop("managedFields", None)
        return
    before = _without_record(live) if live is not None else (zero or {})
    try:
        changes = typed.compare(before, _without_record(new), schema).without(ignored)
    except typed.TypedError:
        # Compat: what cannot be told apart, such as two rows without a key, is stored and nobody's.
        managed_fields.write(new, managers.values())
        return
    mine = Manager(manager, UPDATE, str(new["apiVersion"]), subresource, now)
    changed = changes.added | changes.modified
    previous = managers.pop(mine.identity, None)
    _take_away(managers, managers.values(), changed | changes.removed)
    mine.paths = changed - _UNMANAGED
    if mine.paths:
        if previous is not None:
            mine.paths = mine.paths | (previous.paths - changes.removed)
        managers[mine.identity] = mine
    elif previous is not None:
        previous.paths = previous.paths - changes.removed
        managers[previous.identity] = previous
    managed_fields.cap(managers)
    managed_fields.write(new, managers.values())


def merge(live: Any, config: Any, schema: Schema | None) -> Any:
    """A new value with the configuration's fields laid over the live ones; see `typed.merge`."""
    return typed.merge(live, config, schema)
