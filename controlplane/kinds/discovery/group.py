"""The kinds of the group discovery.k8s.io."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.discovery import endpoint_slice

KINDS: tuple[Kind, ...] = (endpoint_slice.KIND,)
