"""The kinds of the legacy group, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.core import (
    config_map,
    endpoints,
    event,
    namespace,
    node,
    persistent_volume_claim,
    secret,
    service,
    service_account,
)
from controlplane.kinds.core.pod import kind as pod

KINDS: tuple[Kind, ...] = (
    config_map.KIND,
    endpoints.KIND,
    event.KIND,
    namespace.KIND,
    node.KIND,
    persistent_volume_claim.KIND,
    pod.KIND,
    secret.KIND,
    service.KIND,
    service_account.KIND,
)
