"""Takes connections off listening sockets, and never the last descriptors of the process (`kvstore.base.descriptors`).

In place of `loop.create_server`, which would answer a flood of connections by spending all of them, those under a TLS
handshake unseen. Past the ceiling a newcomer gets the place of a connection that has been silent since it came, if
there is one (handshakes first, then what the owner's `make_room` finds), and is closed at once otherwise, so that
clients with other addresses go there instead of waiting.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

from kvstore.base import descriptors
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger("kvstore.accepting")

SILENT_SECONDS = 1.0
"""A connection that came just now is not silent yet: its first bytes may be on their way."""

_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 16
"""In one turn of the loop; a flood must not keep it from everything else."""

_PAUSE_SECONDS = 1.0
_SAY_SECONDS = 10.0


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on all addresses that `host` means. Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in {(one[0], one[4]): None for one in found}:
            sockets.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


class Acceptor:
    """The listening sockets of one service. Closes them in the end.

    Args:
        factory: makes the protocol of a connection, as for `loop.create_server`.
        sockets: bound and listening.
        tls: a server's context; the protocol then hears of a connection after its handshake.
        handshake_seconds: how long that may take.
        shutdown_seconds: how long a closing TLS connection waits for the client's own goodbye.
        make_room: ends one silent connection; False if there is none.
        max_handshakes: so many at once, the oldest gives way; None = as many as there are descriptors.
        ceiling: the first descriptor that may not be taken.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        sockets: Sequence[socket.socket],
        *,
        tls: ssl.SSLContext | None = None,
        handshake_seconds: float = 20.0,
        shutdown_seconds: float = 1.0,
        make_room: Callable[[], bool] = lambda: False,
        max_handshakes: int | None = None,
        ceiling: Callable[[], int] = descriptors.ceiling,
    ) -> None:
        self.sockets = list(sockets)
        self._factory, self._tls = factory, tls
        self._handshake_seconds = handshake_seconds
        self._shutdown_seconds = shutdown_seconds
        self._make_room = make_room
        self._max_handshakes = max_handshakes
        self._ceiling = ceiling
        self._loop = asyncio.get_running_loop()
        self._greeting: dict[socket.socket, float] = {}
        """Connections not handed to their protocols yet, oldest first: since when."""
        self._supervisor = Supervisor("accept")
        self._tasks: set[asyncio.Task[None]] = set()
        self._said_at = float("-inf")
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        for one in self.sockets:
            one.setblocking(False)
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Take no more; connections live on, handshakes do not."""
        sockets, self.sockets = self.sockets, []
        for timer in self._paused.values():
            timer.cancel()
        self._paused.clear()
        for one in sockets:
            self._loop.remove_reader(one)
            one.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Even the reserve is spent. The socket stays readable: looking again at once would only burn time.
                log.error("connections cannot be taken", error=error.strerror)
                self._loop.remove_reader(listening)
                self._paused[listening] = self._loop.call_later(
                    _PAUSE_SECONDS, self._resume, listening
                )
                return
            if connection.fileno() >= self._ceiling() and not (
                self._end_silent_handshake() or self._make_room()
            ):
                self._say_full(connection.fileno())
                connection.close()
                continue
            self._greet(connection)

    def _resume(self, listening: socket.socket) -> None:
        self._paused.pop(listening, None)
        self._loop.add_reader(listening, self._accept, listening)

    def _greet(self, connection: socket.socket) -> None:
        if self._max_handshakes is not None and len(self._greeting) >= self._max_handshakes:
            self._end(next(iter(self._greeting)))
        connection.setblocking(False)
        self._greeting[connection] = self._loop.time()
        task = self._supervisor.start(self._hand_over(connection), "greet")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, connection: socket.socket) -> None:
        tls = self._tls
        # A handshake that fails is the client's affair.
        with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
            try:
                await self._loop.connect_accepted_socket(
                    self._factory,
                    connection,
                    ssl=tls,
                    ssl_handshake_timeout=self._handshake_seconds if tls else None,
                    ssl_shutdown_timeout=self._shutdown_seconds if tls else None,
                )
            finally:
                self._greeting.pop(connection, None)

    def _end_silent_handshake(self) -> bool:
        since = self._loop.time() - SILENT_SECONDS
        for connection, began in self._greeting.items():
            if began > since:
                return False
            self._end(connection)
            return True
        return False

    def _end(self, connection: socket.socket) -> None:
        """Make its handshake fail; the transport owns the descriptor and closes it."""
        self._greeting.pop(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _say_full(self, descriptor: int) -> None:
        now = self._loop.time()
        if now - self._said_at >= _SAY_SECONDS:
            self._said_at = now
            log.warning(
                "connections are refused: the limit of open files is near",
                open_at_least=descriptor + 1,
                limit=descriptors.limit(),
            )
