"""Bearer tokens of a request: from `Authorization`, or, for browsers, from the WebSocket sub-protocols.

Several sorts of tokens exist; each has a `TokenAuthenticator`. A token that none of them knows is refused, with no word
about why: what is said here, an attacker reads.

Source: apiserver/pkg/authentication/request/{bearertoken,websocket}.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controlplane.api import errors
from controlplane.apiserver.http.messages import Request, User

_SOCKET_PREFIX = "base64url.bearer.authorization.k8s.io."


class BadTokenError(Exception):
    """A token of a known sort that does not hold; the text is for reviews and our log."""


@dataclass(frozen=True, slots=True)
class Known:
    """Whose token it is, and which of the audiences asked for it was made for; none for sorts without audiences."""

    user: User
    audiences: tuple[str, ...] = ()


class TokenAuthenticator(Protocol):
    """One sort of tokens."""

    async def authenticate(self, token: str, audiences: tuple[str, ...]) -> Known | None:
        """Whose token it is; None when it is not of this sort. BadTokenError when it is and does not hold."""
        ...


class TokenChain:
    """All sorts, tried in order."""

    def __init__(self, sorts: Sequence[TokenAuthenticator], audiences: tuple[str, ...]) -> None:
        self._sorts = tuple(sorts)
        # What this server answers to.
        self.audiences = audiences

    async def authenticate(self, token: str, audiences: tuple[str, ...] = ()) -> Known:
        """Whose token it is; BadTokenError with the first reason of a sort that knows it."""
        wanted = audiences or self.audiences
        reason: BadTokenError | None = None
        for sort in self._sorts:
            try:
                known = await sort.authenticate(token, wanted)
            except BadTokenError as error:
                reason = reason or error
                continue
            if known is not None:
                return known
        raise reason or BadTokenError("invalid bearer token")


class BearerAuthenticator:
    """Takes the token out of a request."""

    def __init__(self, tokens: TokenChain) -> None:
        self._tokens = tokens

    async def authenticate(self, request: Request) -> User | None:
        """The token's user; None without a token."""
        token = _from_header(request.headers.get("authorization", ""))
        if not token:
            token = _from_protocols(request)
        if not token:
            return None
        try:
            return (await self._tokens.authenticate(token)).user
        except BadTokenError as error:
            raise errors.Unauthorized() from error


def _from_header(value: str) -> str:
    scheme, _, token = value.strip().partition(" ")
    return token.split(" ")[0] if scheme.lower() == "bearer" else ""


def _from_protocols(request: Request) -> str:
    for name, value in request.incoming.all_headers:
        if name != "sec-websocket-protocol":
            continue
        for protocol in value.split(","):
            encoded = protocol.strip()
            if encoded.startswith(_SOCKET_PREFIX):
                text = encoded.removeprefix(_SOCKET_PREFIX)
                try:
                    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
                    return raw.decode("utf-8")
                except (binascii.Error, UnicodeDecodeError):
                    return ""
    return ""
