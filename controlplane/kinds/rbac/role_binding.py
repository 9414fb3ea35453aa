"""RoleBindings: who has a role in one namespace."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.kinds.rbac import bindings, rules

ROLE_BINDINGS = Resource(bindings.GROUP, "v1", "RoleBinding", "rolebindings")


def _validate(obj: Obj) -> list[Cause]:
    return bindings.validate(obj, role_kinds=("Role", "ClusterRole"), is_namespaced=True)


KIND = Kind(
    ROLE_BINDINGS,
    strategy=rules.RbacStrategy,
    default=bindings.default,
    validate=_validate,
    validate_update=bindings.validate_update,
    validate_name=names.path_segment,
    columns=bindings.COLUMNS,
)
