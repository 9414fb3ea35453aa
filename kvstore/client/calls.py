"""What all requests of the client share: its connections, and one call with or without fail-over."""

import random
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from kvstore.base.clock import Clock, SystemClock
from kvstore.client.endpoints import Connection, parse_endpoint
from kvstore.client.errors import ClientClosed, from_rpc_error
from kvstore.client.failover import Failover
from kvstore.client.types import ClientTls
from kvstore.client.watch import Watcher


class Caller:
    """Owner of the connections; see `Client` for the arguments."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ClientTls | None = None,
        timeout_seconds: float = 5.0,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._timeout_seconds = timeout_seconds
        parsed = [parse_endpoint(text, has_tls_files=tls is not None) for text in endpoints]
        self._tls = tls
        self._failover = Failover(
            [Connection(endpoint, tls) for endpoint in parsed], self.clock, rng or random.Random()
        )
        self._others: dict[str, Connection] = {}
        self._watchers: set[Watcher] = set()

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
        for connection in self._others.values():
            await connection.close()
        await self._failover.close()

    async def _call(
        self,
        method: str,
        request: Any,
        response: Any,
        *,
        is_idempotent: bool = False,
        timeout_seconds: float | None = None,
    ) -> Any:
        async def send(connection: Connection, seconds: float) -> Any:
            return await connection.unary(method, response)(request, timeout=seconds)

        return await self._failover.run(
            send,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            is_idempotent=is_idempotent,
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
        connection = self._connection(endpoint)
        try:
            return await connection.unary(method, response)(
                request, timeout=timeout_seconds or self._timeout_seconds
            )
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        except grpc.aio.UsageError as cause:
            raise ClientClosed("the client is closed") from cause

    def _connection(self, endpoint: str) -> Connection:
        current = self._failover.current()
        if not endpoint:
            return current
        for connection in self._failover.connections:
            if connection.name == endpoint:
                return connection
        if endpoint not in self._others:
            parsed = parse_endpoint(endpoint, has_tls_files=self._tls is not None)
            self._others[endpoint] = Connection(parsed, self._tls)
        return self._others[endpoint]
