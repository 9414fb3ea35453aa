"""All ways to show who asks, tried in order.

The first that knows the user decides. A credential that does not hold is remembered and refused if no other way knows
the user: a bad token is never taken for no token. Everybody who is known is of `system:authenticated`.

Source: apiserver/pkg/authentication/request/union and group.
"""

from collections.abc import Sequence
from dataclasses import replace

from controlplane.api import errors
from controlplane.apiserver.authn.interface import Authenticator
from controlplane.apiserver.http.messages import Request, User

AUTHENTICATED = "system:authenticated"


class AuthenticatorChain:
    """The chain; itself an `Authenticator`, which never answers None."""

    def __init__(self, ways: Sequence[Authenticator], anonymous: Authenticator) -> None:
        self._ways = tuple(ways)
        self._anonymous = anonymous

    async def authenticate(self, request: Request) -> User:
        """The user; Unauthorized for a credential that does not hold, and for nobody where somebody is wanted."""
        refusal: errors.Unauthorized | None = None
        for way in self._ways:
            try:
                user = await way.authenticate(request)
            except errors.Unauthorized as error:
                refusal = refusal or error
                continue
            if user is not None:
                return authenticated(user)
        if refusal is not None:
            raise refusal
        user = await self._anonymous.authenticate(request)
        if user is None:
            raise errors.Unauthorized()
        return user


def authenticated(user: User) -> User:
    """`user` as one of those who are known."""
    if user.is_anonymous or AUTHENTICATED in user.groups:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))
