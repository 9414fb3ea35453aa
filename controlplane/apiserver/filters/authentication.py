"""Who asks: sets `request.user`, or answers 401."""

from controlplane.apiserver.authn.chain import AuthenticatorChain
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request


class Authentication:
    """The filter."""

    def __init__(self, authenticator: AuthenticatorChain) -> None:
        self._authenticator = authenticator

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Let in who is known."""
        request.user = await self._authenticator.authenticate(request)
        return await proceed(request)
