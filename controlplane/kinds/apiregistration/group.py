"""The kinds of the group apiregistration.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.apiregistration import api_service

KINDS: tuple[Kind, ...] = (api_service.KIND,)
