"""Tokens of service accounts, for a program whose parts each speak as their own account.

An account that is not there is made. A token is asked for when it is first needed and again when four fifths of its
life are over; those who ask at once share one request.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from controlplane.api import times
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.client.rest import RestClient, TokenSource
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from kvstore.base.clock import Clock

_SECONDS = 3600
_RENEW_AT = 0.8


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


class AccountTokens:
    """The tokens of one namespace's accounts, asked for by `client`, who may create accounts and tokens there."""

    def __init__(self, client: RestClient, clock: Clock, namespace: str = "kube-system") -> None:
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, account: str) -> TokenSource:
        """The tokens of one account."""
        return _Account(self, account)

    async def token(self, account: str, refused: str) -> str:
        """See `TokenSource.token`."""
        known = self._tokens.get(account)
        if known is not None and self._is_good(known, refused):
            return known.text
        async with self._locks.setdefault(account, asyncio.Lock()):
            known = self._tokens.get(account)
            if known is None or not self._is_good(known, refused):
                known = self._tokens[account] = await self._ask(account)
            return known.text

    def _is_good(self, known: "_Token", refused: str) -> bool:
        return known.text != refused and self._clock.monotonic() < known.renew_at

    async def _ask(self, account: str) -> _Token:
        try:
            answer = await self._request(account)
        except NotFound:
            made = {"metadata": {"name": account, "namespace": self._namespace}}
            # Another of our kind may be first.
            with contextlib.suppress(AlreadyExists):
                await self._client.create(SERVICE_ACCOUNTS, made, self._namespace)
            answer = await self._request(account)
        status = answer["status"]
        life = times.parse(status["expirationTimestamp"]) - self._clock.time()
        return _Token(str(status["token"]), self._clock.monotonic() + max(0.0, life * _RENEW_AT))

    async def _request(self, account: str) -> dict[str, dict[str, str]]:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _SECONDS},
        }
        return await self._client.create_subresource(
            SERVICE_ACCOUNTS, account, "token", body, self._namespace
        )


class _Account:
    """See `TokenSource`."""

    def __init__(self, tokens: AccountTokens, account: str) -> None:
        self._tokens, self._account = tokens, account

    async def token(self, refused: str = "") -> str:
        """See `TokenSource.token`."""
        return await self._tokens.token(self._account, refused)
