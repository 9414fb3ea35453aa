"""What all requests of the client share: its connections, its token, and one call with or without fail-over."""

import random
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from kvstore.base.clock import Clock, SystemClock
from kvstore.client import forks
from kvstore.client.endpoints import (
    KEEPALIVE_SECONDS,
    KEEPALIVE_TIMEOUT_SECONDS,
    Connection,
    parse_endpoint,
)
from kvstore.client.failover import Failover
from kvstore.client.tokens import Metadata, Tokens
from kvstore.client.types import ClientTls

# A member without leader refuses requests with this mark instead of keeping them waiting.
REQUIRE_LEADER: Metadata = (("hasleader", "true"),)


class Closable(Protocol):
    """What ends with the client: its watches."""

    async def request_progress(self) -> None:
        """Ask how far it is."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


def _listed(endpoints: Sequence[str]) -> Sequence[str]:
    """A text is a list as etcdctl takes it, separated by commas, and not its characters."""
    return endpoints.split(",") if isinstance(endpoints, str) else endpoints


class Caller:
    """Owner of the connections; see `Client` for the arguments."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ClientTls | None = None,
        user: str = "",
        password: str = "",
        timeout_seconds: float = 5.0,
        require_leader: bool = False,
        spread_requests: bool = False,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        keepalive_timeout_seconds: float = KEEPALIVE_TIMEOUT_SECONDS,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        forks.check()
        self.clock = clock or SystemClock()
        self._timeout_seconds = timeout_seconds
        self._tls = tls
        self._rng = rng or random.Random()
        self._keepalive = (keepalive_seconds, keepalive_timeout_seconds)
        self._tokens = Tokens(user, password)
        self._extra = REQUIRE_LEADER if require_leader else ()
        self._failover = Failover(
            [self._connect(text) for text in _listed(endpoints)],
            self.clock,
            self._rng,
            self._tokens,
            spread=spread_requests,
        )
        self._others: dict[str, Failover] = {}
        self._watchers: set[Closable] = set()

    def _connect(self, text: str) -> Connection:
        time, timeout = self._keepalive
        return Connection(
            parse_endpoint(text, has_tls_files=self._tls is not None),
            self._tls,
            keepalive_seconds=time,
            keepalive_timeout_seconds=timeout,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints as given."""
        return tuple(connection.name for connection in self._failover.connections)

    async def close(self) -> None:
        """End all watches and connections. Idempotent."""
        for watcher in list(self._watchers):
            await watcher.aclose()
        for failover in self._others.values():
            await failover.close()
        await self._failover.close()

    def _metadata(self) -> Metadata:
        return (*self._tokens.metadata(), *self._extra)

    async def _call(
        self,
        method: str,
        request: Any,
        response: Any,
        *,
        is_idempotent: bool = False,
        timeout_seconds: float | None = None,
    ) -> Any:
        return await self._send(
            self._failover, method, request, response, is_idempotent, timeout_seconds
        )

    async def _call_one(
        self,
        endpoint: str,
        method: str,
        request: Any,
        response: Any,
        *,
        timeout_seconds: float | None = None,
    ) -> Any:
        return await self._send(
            self._only(endpoint), method, request, response, False, timeout_seconds
        )

    async def _send(
        self,
        failover: Failover,
        method: str,
        request: Any,
        response: Any,
        is_idempotent: bool,
        timeout_seconds: float | None,
    ) -> Any:
        async def send(connection: Connection, seconds: float) -> Any:
            call = connection.unary(method, response)
            return await call(request, timeout=seconds, metadata=self._metadata())

        return await failover.run(
            send,
            timeout_seconds=self._timeout_seconds if timeout_seconds is None else timeout_seconds,
            is_idempotent=is_idempotent,
        )

    def _only(self, endpoint: str) -> Failover:
        """A choice of one member: nothing is asked of another, nothing twice but for its token."""
        current = self._failover.current()
        name = endpoint or current.name
        if name not in self._others:
            known = [one for one in self._failover.connections if one.name == name]
            self._others[name] = Failover(
                known or [self._connect(name)],
                self.clock,
                self._rng,
                self._tokens,
                is_single_try=True,
            )
        return self._others[name]
