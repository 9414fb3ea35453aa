"""The record of who owns which field: entries of metadata.managedFields, in and out.

An entry is told by its manager, operation, subresource and, but for appliers, API version. Entries that have no field
left are dropped; when more than ten managers have updated an object, the oldest are folded into one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.patch.field_set import Path, from_fields_v1, to_fields_v1

APPLY, UPDATE = "Apply", "Update"
# Compat: above this many entries of updates the oldest become one by this name.
MOST_UPDATERS = 10
OLD_UPDATERS = "ancient-changes"

Identity = tuple[str, str, str, str]


@dataclass(slots=True)
class Manager:
    """One entry of managedFields. `time` is RFC 3339, or empty."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    paths: AbstractSet[Path] = frozenset()
    # What was read, to be written again as it is when nothing of it changes.
    _read: tuple[Obj, AbstractSet[Path]] | None = None

    @property
    def identity(self) -> Identity:
        """What makes two writes the same manager's; who applies is the same in every version."""
        version = "" if self.operation == APPLY else self.api_version
        return (self.name, self.operation, version, self.subresource)

    def shown(self) -> str:
        """The manager as conflict messages name it."""
        text = json.dumps(self.name, ensure_ascii=False)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        if self.operation == UPDATE:
            text += f" using {self.api_version}"
        return text

    def to_dict(self) -> Obj:
        """The ManagedFieldsEntry."""
        if self._read is not None:
            source, paths = self._read
            if paths is self.paths and source.get("time", "") == self.time:
                return source
        entry: Obj = {"manager": self.name, "operation": self.operation}
        entry["apiVersion"] = self.api_version
        if self.time:
            entry["time"] = self.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = to_fields_v1(self.paths)
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def read(obj: Obj) -> dict[Identity, Manager]:
    """The managers of an object; none at all when an entry cannot be read."""
    found: dict[Identity, Manager] = {}
    for entry in meta.metadata(obj).get("managedFields") or ():
        if not _is_readable(entry):
            return {}
        paths = _paths_of(msgspec.json.encode(entry.get("fieldsV1") or {}))
        manager = Manager(
            entry.get("manager") or "",
            entry["operation"],
            entry.get("apiVersion") or "",
            entry.get("subresource") or "",
            entry.get("time") or "",
            paths,
            (entry, paths),
        )
        known = found.get(manager.identity)
        if known is not None:
            manager.paths = manager.paths | known.paths
        found[manager.identity] = manager
    return found


@lru_cache(maxsize=512)
def _paths_of(fields: bytes) -> frozenset[Path]:
    """The paths of an encoded FieldsV1: objects of one template have the same, and so has each write of one object."""
    return frozenset(from_fields_v1(msgspec.json.decode(fields)))


def _is_readable(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("operation") in (APPLY, UPDATE)
        and entry.get("fieldsType", "FieldsV1") == "FieldsV1"
        and isinstance(entry.get("fieldsV1", {}), dict | None)
    )


def is_reset(obj: Obj) -> bool:
    """Whether an object that was sent asks to forget all owners: one empty entry, or an empty list."""
    entries = meta.metadata(obj).get("managedFields")
    return entries is not None and (entries == [] or entries == [{}])


def write(obj: Obj, managers: Iterable[Manager]) -> None:
    """Set metadata.managedFields: appliers first, then by time and name, so that equal states are equal bytes."""
    rows = [manager for manager in managers if manager.paths]
    rows.sort(key=lambda m: (m.operation, m.time, m.name, m.api_version, m.subresource))
    fields = meta.ensure_metadata(obj)
    if rows:
        fields["managedFields"] = [manager.to_dict() for manager in rows]
    else:
        fields.pop("managedFields", None)


def cap(managers: dict[Identity, Manager]) -> None:
    """Fold the oldest updaters of each version into one entry while there are more than `MOST_UPDATERS`."""
    updaters = [manager for manager in managers.values() if manager.operation == UPDATE]
    surplus = len(updaters) - MOST_UPDATERS
    updaters.sort(key=lambda m: (m.time, m.name))
    first: dict[str, Manager] = {}
    for manager in updaters:
        if surplus <= 0:
            return
        known = first.get(manager.api_version)
        if known is None:
            first[manager.api_version] = manager
            continue
        bucket = Manager(OLD_UPDATERS, UPDATE, manager.api_version)
        if bucket.identity not in managers:
            del managers[known.identity]
            bucket.paths = known.paths
            managers[bucket.identity] = bucket
        bucket = managers[bucket.identity]
        bucket.paths = bucket.paths | manager.paths
        bucket.time = manager.time
        if manager is not bucket:
            del managers[manager.identity]
        surplus -= 1
