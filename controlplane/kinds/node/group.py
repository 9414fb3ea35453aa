"""The kinds of the group node.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.node import runtime_class

KINDS: tuple[Kind, ...] = (runtime_class.KIND,)
