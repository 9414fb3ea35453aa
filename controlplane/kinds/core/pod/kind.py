"""The Kind of pods: where their rules come together."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.columns import COLUMNS, row_conditions
from controlplane.kinds.core.pod.defaults import default_pod
from controlplane.kinds.core.pod.parts import PARTS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.strategy import PodStrategy
from controlplane.kinds.core.pod.updates import validate_pod_status, validate_pod_update
from controlplane.kinds.core.pod.validation import validate_pod
from controlplane.kinds.core.pod.warnings import pod_warnings


def _field_value(obj: Obj, label: str) -> str | None:
    if label == "status.podIPs":
        return ",".join(str(row.get("ip", "")) for row in meta.status(obj).get("podIPs") or ())
    if label == "spec.hostNetwork":
        return "true" if meta.spec(obj).get("hostNetwork") else "false"
    return None


KIND = Kind(
    PODS,
    strategy=PodStrategy,
    default=default_pod,
    validate=validate_pod,
    validate_update=validate_pod_update,
    validates_update_alone=True,
    validate_status=validate_pod_status,
    warnings=pod_warnings,
    field_value=_field_value,
    columns=COLUMNS,
    row_conditions=row_conditions,
    parts=PARTS,
)
