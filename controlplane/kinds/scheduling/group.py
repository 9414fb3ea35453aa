"""The kinds of the group scheduling.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.scheduling import priority_class

KINDS: tuple[Kind, ...] = (priority_class.KIND,)
