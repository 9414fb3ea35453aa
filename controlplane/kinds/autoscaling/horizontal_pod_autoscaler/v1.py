"""autoscaling/v1: the old spelling, which knows the share of the CPU only. Rules and tables are those of v2."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Conversion, Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.table.standard import through
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler import conversion, kind, rules

_STORED_AS = ("autoscaling", "v2", "horizontalpodautoscalers")

HORIZONTAL_POD_AUTOSCALERS_V1 = Resource(
    "autoscaling",
    "v1",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    # Without any metric the controller follows the CPU; the object says so.
    if (
        conversion.METRICS not in meta.annotations(obj)
        and spec.get("targetCPUUtilizationPercentage") is None
    ):
        spec["targetCPUUtilizationPercentage"] = kind.CPU_UTILIZATION


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new autoscaler."""
    return kind.validate(conversion.to_v2(obj))


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed autoscaler."""
    return kind.validate_update(conversion.to_v2(new), conversion.to_v2(old))


class AutoscalerStrategyV1(kind.AutoscalerStrategy):
    """The rules of autoscalers in the old spelling."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing has been measured yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"currentReplicas": 0, "desiredReplicas": 0}


KIND = Kind(
    HORIZONTAL_POD_AUTOSCALERS_V1,
    strategy=AutoscalerStrategyV1,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=rules.validate_status,
    columns=through(conversion.to_v2, kind.COLUMNS),
    conversion=Conversion(_STORED_AS, conversion.to_v2, conversion.from_v2),
    metadata_rules=~MetadataRules.WHOLE,
)
