"""All authorizers, asked in order; the first with an opinion decides, nobody's opinion is a no.

`build_authorizer` is the only list of modes, by the names of kube-apiserver's --authorization-mode.
"""

from collections.abc import Sequence

from controlplane.apiserver.authz.always_allow import AlwaysAllow
from controlplane.apiserver.authz.always_deny import AlwaysDeny
from controlplane.apiserver.authz.interface import Attributes, Authorizer, Decision, Verdict
from controlplane.apiserver.authz.node.authorizer import NodeAuthorizer
from controlplane.apiserver.authz.node.graph import NodeGraph
from controlplane.apiserver.authz.rbac.authorizer import RbacAuthorizer
from controlplane.apiserver.authz.rbac.grants import GrantIndex
from controlplane.apiserver.authz.superuser import Superuser
from controlplane.storage.watch_cache import WatchCache

MODES = ("Node", "RBAC", "AlwaysAllow", "AlwaysDeny")


class AuthorizerChain:
    """The chain, itself an `Authorizer`."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Verdict:
        """The first opinion; the reasons of all when there is none."""
        reasons = []
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, "\n".join(reasons))


def build_authorizer(
    modes: Sequence[str], grants: GrantIndex, caches: WatchCache
) -> AuthorizerChain:
    """The authorizers of these modes, in order; system:masters comes before all of them."""
    made: list[Authorizer] = [Superuser()]
    for mode in modes:
        if mode == "Node":
            made.append(NodeAuthorizer(NodeGraph(caches)))
        elif mode == "RBAC":
            made.append(RbacAuthorizer(grants))
        elif mode == "AlwaysAllow":
            made.append(AlwaysAllow())
        elif mode == "AlwaysDeny":
            made.append(AlwaysDeny())
        else:
            raise ValueError(f"unknown authorization mode {mode}")
    return AuthorizerChain(made)
