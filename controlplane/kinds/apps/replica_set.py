"""ReplicaSets: a number of equal pods."""

from __future__ import annotations

from controlplane.api.defaulting import part
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.kinds.apps import workload
from controlplane.kinds.core.pod import template

REPLICA_SETS = Resource(
    "apps",
    "v1",
    "ReplicaSet",
    "replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    field_labels=("status.replicas",),
)


def _default(obj: Obj) -> None:
    spec = part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    template.default_template(spec)


_COLUMNS = (
    NAME,
    Column("Desired", cells.number("spec.replicas"), type="integer", description="Wanted."),
    Column("Current", cells.number("status.replicas"), type="integer", description="Made."),
    Column(
        "Ready", cells.number("status.readyReplicas"), type="integer", description="Ready pods."
    ),
    AGE,
    *workload.WIDE_COLUMNS,
)


KIND = Kind(
    REPLICA_SETS,
    strategy=SpecStrategy,
    default=_default,
    validate=workload.validate_workload,
    validate_update=workload.selector_kept,
    columns=_COLUMNS,
)
