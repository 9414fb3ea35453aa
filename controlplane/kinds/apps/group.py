"""The kinds of the group apps, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.apps import (
    controller_revision,
    daemon_set,
    deployment,
    replica_set,
    stateful_set,
)

KINDS: tuple[Kind, ...] = (
    controller_revision.KIND,
    daemon_set.KIND,
    deployment.KIND,
    replica_set.KIND,
    stateful_set.KIND,
)
