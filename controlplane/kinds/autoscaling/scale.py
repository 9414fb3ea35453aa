"""Scales: how many a scalable object has, as the body of its subresource scale; not stored."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

SCALES = Resource("autoscaling", "v1", "Scale", "scales", verbs=())


def _validate(obj: Obj) -> list[Cause]:
    return fields.non_negative("spec.replicas", meta.spec(obj).get("replicas"))


_COLUMNS = (
    NAME,
    Column("Desired", cells.number("spec.replicas"), type="integer", description="Wanted."),
    Column("Available", cells.number("status.replicas"), type="integer", description="Made."),
    AGE,
)

KIND = Kind(SCALES, validate=_validate, columns=_COLUMNS)
