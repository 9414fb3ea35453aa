"""The kinds of the group networking.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.networking import (
    ingress,
    ingress_class,
    ip_address,
    network_policy,
    service_cidr,
)

KINDS: tuple[Kind, ...] = (
    ingress_class.KIND,
    ingress.KIND,
    ip_address.KIND,
    network_policy.KIND,
    service_cidr.KIND,
)
