"""All authorizers, asked in order; the first with an opinion decides, nobody's opinion is a no."""

from collections.abc import Sequence

from controlplane.apiserver.authz.interface import Attributes, Authorizer, Decision, Verdict


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
