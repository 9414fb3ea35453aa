"""The kinds of the group flowcontrol.apiserver.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.flowcontrol import flow_schema, priority_level_configuration

KINDS: tuple[Kind, ...] = (flow_schema.KIND, priority_level_configuration.KIND)
