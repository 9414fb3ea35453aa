"""The kinds of the group coordination.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.coordination import lease

KINDS: tuple[Kind, ...] = (lease.KIND,)
