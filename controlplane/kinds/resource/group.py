"""The kinds of the group resource.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.resource import device_class, resource_claim, resource_claim_template
from controlplane.kinds.resource.resource_slice import kind as resource_slice

KINDS: tuple[Kind, ...] = (
    device_class.KIND,
    resource_claim.KIND,
    resource_claim_template.KIND,
    resource_slice.KIND,
)
