"""Objects as a metav1.Table or as metadata alone.

Pure: the caller passes `now` (seconds since the epoch). Rows carry PartialObjectMetadata, the whole object or nothing,
as `includeObject` asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj

INCLUDE_NONE = "None"
INCLUDE_METADATA = "Metadata"
INCLUDE_OBJECT = "Object"
INCLUDE_VALUES = (INCLUDE_NONE, INCLUDE_METADATA, INCLUDE_OBJECT)


def to_table(
    kind: Kind,
    objects: Iterable[Obj],
    list_meta: Obj | None = None,
    *,
    now: float,
    include_object: str = INCLUDE_METADATA,
    with_columns: bool = True,
    version: str = "v1",
) -> Obj:
    """The objects as a metav1.Table.

    `list_meta` is the list's metadata (resourceVersion, continue). `with_columns=False` gives
    null column definitions, as a watch sends after its first event.
    """
    rows = []
    for obj in objects:
        row: Obj = {"cells": [column.cell(obj, now) for column in kind.columns]}
        conditions = kind.row_conditions(obj)
        if conditions:
            row["conditions"] = conditions
        if include_object == INCLUDE_OBJECT:
            row["object"] = obj
        elif include_object == INCLUDE_METADATA:
            row["object"] = partial_metadata(obj, version)
        else:
            row["object"] = None
        rows.append(row)
    definitions = [column.definition() for column in kind.columns] if with_columns else None
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_meta or {}),
        "columnDefinitions": definitions,
        "rows": rows,
    }


def partial_metadata(obj: Obj, version: str = "v1") -> Obj:
    """The object's metadata alone, as PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj.get("metadata") or {},
    }


def partial_metadata_list(
    objects: Iterable[Obj], list_meta: Obj | None = None, version: str = "v1"
) -> Obj:
    """Many objects' metadata, as PartialObjectMetadataList."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_meta or {}),
        "items": [partial_metadata(obj, version) for obj in objects],
    }
