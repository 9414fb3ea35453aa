"""The kinds of the group apps, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.apps import deployment, replica_set

KINDS: tuple[Kind, ...] = (
    deployment.KIND,
    replica_set.KIND,
)
