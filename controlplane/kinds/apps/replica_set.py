"""ReplicaSets: a number of equal pods."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.kinds.apps import workload
from controlplane.kinds.core.pod.warnings import workload_warnings

REPLICA_SETS = Resource(
    "apps",
    "v1",
    "ReplicaSet",
    "replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)


_COUNTS = (
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
    "terminatingReplicas",
)
_BOUNDED = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _validate(obj: Obj) -> list[Cause]:
    causes = workload.validate_replicas(obj)
    causes += fields.non_negative("spec.minReadySeconds", meta.spec(obj).get("minReadySeconds"))
    return causes + workload.validate_pods(obj)


def _validate_status(new: Obj, old: Obj) -> list[Cause]:
    del old
    return workload.validate_status(new, _COUNTS, _BOUNDED)


class _ReplicaSetStrategy(SpecStrategy):
    def prepare_for_create(self, obj: Obj) -> None:
        """A new one has no pods."""
        super().prepare_for_create(obj)
        obj["status"] = {"replicas": 0}


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
    strategy=_ReplicaSetStrategy,
    default=workload.default_workload,
    validate=_validate,
    validate_update=workload.selector_kept,
    validate_status=_validate_status,
    columns=_COLUMNS,
    warnings=workload_warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
