"""Nobody may do anything: for tests of what a refusal looks like."""

from controlplane.apiserver.authz.interface import Attributes, Decision, Verdict

_DENIED = Verdict(Decision.NO_OPINION, "Everything is forbidden.")


class AlwaysDeny:
    """An authorizer that allows nothing; others may."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """No."""
        del attributes
        return _DENIED
