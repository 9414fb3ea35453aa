"""The RBAC authorizer: allows what a rule of the user's allows, and never forbids what others may allow.

Source: plugin/pkg/auth/authorizer/rbac/rbac.go.
"""

from controlplane.apiserver.authz.interface import NO_OPINION, Attributes, Decision, Verdict
from controlplane.apiserver.authz.rbac import rules
from controlplane.apiserver.authz.rbac.grants import GrantIndex


class RbacAuthorizer:
    """The authorizer."""

    def __init__(self, index: GrantIndex) -> None:
        self._index = index

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Allow with the binding that grants it, else no opinion."""
        found = await self._index.of(attributes.user, attributes.namespace)
        for grant in found.grants:
            for rule in grant.rules:
                if rules.allows(rule, attributes):
                    return Verdict(Decision.ALLOW, f"RBAC: allowed by {grant.source}")
        if not found.missing:
            return NO_OPINION
        text = "; ".join(found.missing) if len(found.missing) == 1 else _all(found.missing)
        return Verdict(Decision.NO_OPINION, f"RBAC: {text}")


def _all(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(dict.fromkeys(texts)) + "]"
