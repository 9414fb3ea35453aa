"""The group system:masters may do everything, whatever roles say: the way back in when they are broken.

Source: pkg/kubeapiserver/authorizer (authorizerfactory.NewPrivilegedGroups).
"""

from controlplane.apiserver.authz.interface import NO_OPINION, Attributes, Decision, Verdict

MASTERS = "system:masters"
_ALLOWED = Verdict(Decision.ALLOW)


class Superuser:
    """The authorizer."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Yes to masters, else no opinion."""
        return _ALLOWED if MASTERS in attributes.user.groups else NO_OPINION
