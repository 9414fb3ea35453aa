"""Nobody grants what he does not have: writes of roles and bindings are checked against the writer's own rules.

Whoever may `escalate` roles, or `bind` one, is let through, and so is system:masters. A validator of the write path
that cannot be switched off; upstream has it in the storage of these kinds.

Source: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased.
"""

from collections.abc import Iterable

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation.causes import show
from controlplane.apiserver.admission.interface import CREATE, UPDATE
from controlplane.apiserver.admission.interface import Attributes as Write
from controlplane.apiserver.authz.interface import Attributes, Authorizer
from controlplane.apiserver.authz.rbac import rules
from controlplane.apiserver.authz.rbac.grants import GrantIndex
from controlplane.apiserver.authz.superuser import MASTERS
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kinds.rbac.role import ROLES
from controlplane.kinds.rbac.role_binding import ROLE_BINDINGS

_ROLES = (ROLES, CLUSTER_ROLES)
_BINDINGS = (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)
# What an aggregated role may come to hold: anything.
_EVERYTHING: tuple[Obj, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class EscalationCheck:
    """The check."""

    def __init__(self, authorizer: Authorizer, index: GrantIndex) -> None:
        self._authorizer = authorizer
        self._index = index

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of the four kinds."""
        return (
            operation in (CREATE, UPDATE) and resource in (*_ROLES, *_BINDINGS) and not subresource
        )

    async def validate(self, write: Write) -> None:
        """Refuse a grant of what the writer does not have."""
        if MASTERS in write.user.groups:
            return
        if write.resource in _ROLES:
            await self._check_role(write)
        else:
            await self._check_binding(write)

    async def _check_role(self, write: Write) -> None:
        new, old = write.require_object(), write.old or {}
        has_old_rules = write.old is not None and _same(new, old, "rules")
        has_old_aggregation = _same(new, old, "aggregationRule")
        if has_old_rules and has_old_aggregation:
            return
        if await self._may(write, "escalate", write.resource, write.name):
            return
        aggregates = not has_old_aggregation and new.get("aggregationRule")
        if aggregates and await self._missing(write, _EVERYTHING):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise errors.Forbidden.of(write.resource, write.name, why)
        await self._confirm(write, new.get("rules") or ())

    async def _check_binding(self, write: Write) -> None:
        new, old = write.require_object(), write.old
        if old is not None and _same(new, old, "roleRef") and _same(new, old, "subjects"):
            return
        reference = new.get("roleRef") or {}
        bound = ROLES if reference.get("kind") == "Role" else CLUSTER_ROLES
        if await self._may(write, "bind", bound, str(reference.get("name") or "")):
            return
        role = await self._index.role(reference, write.namespace)
        if role is None:
            # Compat: upstream names the binding's resource with the role's name.
            raise errors.NotFound.of(write.resource, str(reference.get("name") or ""))
        await self._confirm(write, role.get("rules") or ())

    async def _may(self, write: Write, verb: str, resource: Resource, name: str) -> bool:
        verdict = await self._authorizer.authorize(
            Attributes(
                write.user,
                verb,
                group=resource.group,
                version=resource.version,
                resource=resource.plural,
                namespace=write.namespace if resource.namespaced or write.namespace else "",
                name=name,
            )
        )
        return verdict.is_allowed

    async def _missing(self, write: Write, wanted: Iterable[Obj]) -> list[Obj]:
        grants = await self._index.of(write.user, write.namespace)
        return rules.uncovered(grants.rules(), wanted)

    async def _confirm(self, write: Write, wanted: Iterable[Obj]) -> None:
        missing = await self._missing(write, wanted)
        if not missing:
            return
        groups = " ".join(show(group) for group in write.user.groups)
        why = (
            f"user {show(write.user.name)} (groups=[{groups}]) is attempting to grant RBAC "
            f"permissions not currently held:\n{rules.described(missing)}"
        )
        raise errors.Forbidden.of(write.resource, write.name, why)


def _same(new: Obj, old: Obj, field: str) -> bool:
    return (new.get(field) or None) == (old.get(field) or None)
