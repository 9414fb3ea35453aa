"""Everybody may do everything; what kube-apiserver does, too, when no authorization mode is given."""

from controlplane.apiserver.authz.interface import Attributes, Decision, Verdict

_ALLOWED = Verdict(Decision.ALLOW)


class AlwaysAllow:
    """An authorizer that allows."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Yes."""
        del attributes
        return _ALLOWED
