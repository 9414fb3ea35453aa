"""The kinds of the group events.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.events import event

KINDS: tuple[Kind, ...] = (event.KIND,)
