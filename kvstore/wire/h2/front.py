"""The front: listens, keeps the connections, ticks, and ends them in order."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from kvstore.base.accepting import SILENT_SECONDS, Acceptor
from kvstore.base.tasks import Supervisor
from kvstore.wire.engine import Handlers, Http1Factory, Listen, OnHandled
from kvstore.wire.h2 import listening
from kvstore.wire.h2.calls import CallService
from kvstore.wire.h2.deadlines import Deadlines
from kvstore.wire.h2.flow import Budget
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.protocol import Http2Protocol, Shared
from kvstore.wire.h2.routing import Router
from kvstore.wire.limits import GRPC_OVERHEAD_BYTES, Keepalive

_TICK_SECONDS = 1.0
_MAX_UNREAD_BYTES = 512 << 20
"""Unfinished requests of all clients together."""

_CUT_SECONDS = 0.5
"""How long the last words of cut connections may take."""


class Http2Front:
    """gRPC over our own HTTP/2, on all listen addresses."""

    def __init__(
        self,
        handlers: Handlers,
        listens: tuple[Listen, ...],
        *,
        max_request_bytes: int,
        max_concurrent_streams: int,
        on_handled: OnHandled,
        http1: Http1Factory | None,
        keepalive: Keepalive,
    ) -> None:
        self._router = Router(handlers)
        self._listens = listens
        self._max_message_bytes = max_request_bytes + GRPC_OVERHEAD_BYTES
        self._limits = Limits(
            max_concurrent_streams=max_concurrent_streams,
            min_ping_seconds=keepalive.min_time_seconds,
        )
        self._on_handled = on_handled
        self._http1 = http1
        self._keepalive = keepalive
        self._tasks = Supervisor("grpc")
        self._acceptors: list[Acceptor] = []
        self._unix_paths: list[tuple[str, int]] = []
        self._shared: list[Shared] = []
        self._ticker: asyncio.TimerHandle | None = None

    async def start(self) -> tuple[Listen, ...]:
        """Bind all addresses and serve; the addresses with their real ports. Raises ListenError."""
        loop = asyncio.get_running_loop()
        service = CallService(
            loop, self._tasks, Deadlines(loop), self._on_handled, self._max_message_bytes
        )
        budget = Budget(_MAX_UNREAD_BYTES)
        bound = []
        sockets: list[socket.socket] = []
        try:
            for listen in self._listens:
                certificates = listening.Certificates(listen.tls) if listen.tls else None
                one = listening.bind(listen)
                sockets.append(one)
                bound.append(listening.bound_address(listen, one))
                if listen.unix_path:
                    self._unix_paths.append((listen.unix_path, os.stat(listen.unix_path).st_ino))
                shared = Shared(
                    service=service,
                    convert=self._router.convert,
                    limits=self._limits,
                    keepalive=self._keepalive,
                    budget=budget,
                    http1=self._http1,
                    is_revoked=certificates.is_revoked if certificates else _never,
                )
                self._shared.append(shared)
                self._acceptors.append(
                    listening.serve(_factory(shared), one, certificates, self._make_room)
                )
        except BaseException:
            await self.stop(0)
            for one in sockets:
                one.close()
            raise
        self._tick()
        return tuple(bound)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let running ones end for `grace_seconds`, then cut them."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()
        for path, inode in self._unix_paths:
            with contextlib.suppress(OSError):
                # Only our own: another process may listen there by now.
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
        self._unix_paths.clear()
        for protocol in self._protocols():
            protocol.drain()
        await self._until_gone(grace_seconds)
        for protocol in self._protocols():
            protocol.cut()
        await self._until_gone(_CUT_SECONDS)
        for protocol in self._protocols():
            protocol.abort()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        await self._tasks.stop(timeout_seconds=_CUT_SECONDS)
        self._shared.clear()

    def _make_room(self) -> bool:
        """End the connection that has been silent for longest since it came; False if there is none."""
        before = asyncio.get_running_loop().time() - SILENT_SECONDS
        silent = [one for one in self._protocols() if one.is_silent_since(before)]
        if not silent:
            return False
        min(silent, key=lambda one: one.started_at).abort()
        return True

    def _protocols(self) -> list[Http2Protocol]:
        return [one for shared in self._shared for one in list(shared.protocols)]

    async def _until_gone(self, seconds: float) -> None:
        if not self._protocols():
            return
        gone = asyncio.Event()

        def look() -> None:
            if not self._protocols():
                gone.set()

        for shared in self._shared:
            shared.on_empty = look
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await gone.wait()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for protocol in self._protocols():
            protocol.tick(now)
        self._ticker = loop.call_later(_TICK_SECONDS, self._tick)


def _factory(shared: Shared) -> Callable[[], Http2Protocol]:
    return lambda: Http2Protocol(shared)


def _never(_: Any) -> bool:
    return False
