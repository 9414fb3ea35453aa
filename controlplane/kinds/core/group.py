"""The kinds of the legacy group, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.core import (
    binding,
    component_status,
    config_map,
    endpoints,
    event,
    limit_range,
    namespace,
    node,
    persistent_volume_claim,
    pod_template,
    replication_controller,
    resource_quota,
    secret,
    service,
    service_account,
)
from controlplane.kinds.core.persistent_volume import kind as persistent_volume
from controlplane.kinds.core.pod import kind as pod

KINDS: tuple[Kind, ...] = (
    binding.KIND,
    component_status.KIND,
    config_map.KIND,
    endpoints.KIND,
    event.KIND,
    limit_range.KIND,
    namespace.KIND,
    node.KIND,
    persistent_volume_claim.KIND,
    persistent_volume.KIND,
    pod.KIND,
    pod_template.KIND,
    replication_controller.KIND,
    resource_quota.KIND,
    secret.KIND,
    service.KIND,
    service_account.KIND,
)
