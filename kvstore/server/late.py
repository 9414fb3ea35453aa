"""What a member imports only once it serves: a third of its start would be libraries that no first request needs.

The HTTP face (aiohttp, and the library that adds the process to the metrics) and the calls to the leader about leases
(grpc) stand here under their names and are made when first needed. `warm` imports their modules in a thread once the
member is ready, so that whoever needs them first does not stop the event loop for the time of an import; who comes
before that waits. With metrics addresses the HTTP face is loaded at once.
"""

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kvstore.raft.replicator import MemberId
from kvstore.service.lease import TimeToLive
from kvstore.wire.engine import Listen, ServerTls

if TYPE_CHECKING:
    from kvstore.server.forward import GrpcLeasePeer

_MODULES = ("kvstore.server.http", "kvstore.base.metrics_process", "kvstore.server.forward")


async def warm() -> None:
    """Import all of it beside whatever the loop does."""
    await asyncio.to_thread(_import_all)


def _import_all() -> None:
    for name in _MODULES:
        importlib.import_module(name)


class HttpFace(Protocol):
    """`kvstore.server.http.HttpServer`, without importing it."""

    async def start(self) -> tuple[Listen, ...]:
        """Bind and serve the metrics addresses."""
        ...

    def client_protocol(self) -> asyncio.Protocol:
        """What serves an HTTP/1 connection on a client port."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...


class LateHttp:
    """Builds the face by `make` when it is first needed."""

    def __init__(self, make: Callable[[], HttpFace], *, is_needed: bool) -> None:
        self._make = make
        self._is_needed = is_needed
        self._face: HttpFace | None = None

    async def start(self) -> tuple[Listen, ...]:
        """Bind the metrics addresses, if there are any. Raises ListenError."""
        return await self._loaded().start() if self._is_needed else ()

    def client_protocol(self) -> asyncio.Protocol:
        """What serves an HTTP/1 connection on a client port."""
        return self._loaded().client_protocol()

    async def stop(self) -> None:
        """Close everything."""
        if self._face is not None:
            await self._face.stop()

    def _loaded(self) -> HttpFace:
        if self._face is None:
            self._face = self._make()
        return self._face


class LateLeasePeer:
    """`kvstore.server.forward.GrpcLeasePeer`, made for the first call."""

    def __init__(
        self, urls_of: Callable[[MemberId], tuple[str, ...]], tls: ServerTls | None
    ) -> None:
        self._urls_of, self._tls = urls_of, tls
        self._peer: GrpcLeasePeer | None = None

    async def keep_alive(
        self, leader: MemberId, lease_id: int, timeout_seconds: float, proof: str = ""
    ) -> int:
        """As `GrpcLeasePeer.keep_alive`."""
        return await self._made().keep_alive(leader, lease_id, timeout_seconds, proof)

    async def time_to_live(
        self,
        leader: MemberId,
        lease_id: int,
        with_keys: bool,
        timeout_seconds: float,
        proof: str = "",
    ) -> TimeToLive:
        """As `GrpcLeasePeer.time_to_live`."""
        peer = self._made()
        return await peer.time_to_live(leader, lease_id, with_keys, timeout_seconds, proof)

    async def close(self) -> None:
        """Close its channels."""
        if self._peer is not None:
            await self._peer.close()

    def _made(self) -> "GrpcLeasePeer":
        if self._peer is None:
            from kvstore.server.forward import GrpcLeasePeer

            self._peer = GrpcLeasePeer(self._urls_of, self._tls)
        return self._peer
