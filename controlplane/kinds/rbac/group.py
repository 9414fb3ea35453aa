"""The kinds of the group rbac.authorization.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.rbac import cluster_role, cluster_role_binding, role, role_binding

KINDS: tuple[Kind, ...] = (
    cluster_role_binding.KIND,
    cluster_role.KIND,
    role_binding.KIND,
    role.KIND,
)
