"""Roles: what may be done in one namespace."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.kinds.rbac import rules

ROLES = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")


def _validate(obj: Obj) -> list[Cause]:
    return rules.validate(obj, is_namespaced=True)


KIND = Kind(
    ROLES,
    strategy=rules.RbacStrategy,
    default=rules.default,
    validate=_validate,
    validate_name=names.path_segment,
    columns=rules.COLUMNS,
)
