"""The kinds of the group autoscaling, the preferred version first."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler import kind, v1

KINDS: tuple[Kind, ...] = (kind.KIND, v1.KIND)
