"""A `Session` over file descriptors: pipes, or the master side of a terminal."""

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable

from controlplane.kubelet.runtimes.interface import Session, Stream
from kvstore.base.tasks import Supervisor

_CHUNK = 64 * 1024
_QUEUED = 8
"""Chunks read ahead of whoever takes them; then the command waits, as it would for a slow terminal."""


async def _ready(descriptor: int, *, to_write: bool = False) -> None:
    """Wait until a read or a write of `descriptor` would not block."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def done() -> None:
        if not ready.done():
            ready.set_result(None)

    add, remove = (
        (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    )
    add(descriptor, done)
    try:
        await ready
    finally:
        remove(descriptor)


class DescriptorSession:
    """See `Session`. Owns its descriptors.

    `master` stands for all three streams of a terminal; `control` is the master of a terminal whose output comes by
    another way.
    """

    def __init__(
        self,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        master: int | None = None,
        control: int | None = None,
        wait: Callable[[], Awaitable[int]],
        kill: Callable[[], None],
    ) -> None:
        self._stdin, self._master = stdin, control if master is None else master
        self._control = control
        self._wait, self._kill = wait, kill
        self._queue: asyncio.Queue[tuple[Stream, bytes] | None] = asyncio.Queue(_QUEUED)
        self._supervisor = Supervisor("session")
        self._closed = False
        sources = [
            (Stream.STDOUT, stdout if master is None else master),
            (Stream.STDERR, stderr),
        ]
        self._outputs = {fd: stream for stream, fd in sources if fd is not None}
        inputs = (stdin, self._master)
        for descriptor in {*self._outputs, *(fd for fd in inputs if fd is not None)}:
            os.set_blocking(descriptor, False)
        for descriptor, stream in list(self._outputs.items()):
            self._supervisor.start(self._pump(descriptor, stream), stream.name)
        if not self._outputs:
            self._queue.put_nowait(None)

    async def read(self) -> tuple[Stream, bytes] | None:
        """See `Session`."""
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)  # The end stays the end.
        return item

    async def write(self, data: bytes) -> None:
        """See `Session`."""
        while data:
            descriptor = self._stdin if self._master is None else self._master
            if descriptor is None or self._closed:
                return
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                await _ready(descriptor, to_write=True)
            except OSError:
                self.close_stdin()
                return

    def close_stdin(self) -> None:
        """See `Session`. On a terminal the end is the character for it."""
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None
        elif self._master is not None and not self._closed:
            with contextlib.suppress(OSError):
                os.write(self._master, b"\x04")

    def resize(self, columns: int, rows: int) -> None:
        """See `Session`."""
        if self._master is not None and not self._closed:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """See `Session`."""
        return await self._wait()

    async def close(self) -> None:
        """See `Session`."""
        if self._closed:
            return
        self._closed = True
        self._kill()
        await self._supervisor.stop()
        kept = (self._stdin, self._control)
        for descriptor in {*self._outputs, *(fd for fd in kept if fd is not None)}:
            os.close(descriptor)
        self._outputs.clear()
        self._stdin = None
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)

    async def _pump(self, descriptor: int, stream: Stream) -> None:
        while data := await _read(descriptor):
            await self._queue.put((stream, data))
        if descriptor != self._master:
            del self._outputs[descriptor]
            os.close(descriptor)
            ended = not self._outputs
        else:
            ended = True
        if ended:
            await self._queue.put(None)


async def output_of(session: Session) -> AsyncIterator[tuple[Stream, bytes]]:
    """All the output of a session, to its end."""
    while (part := await session.read()) is not None:
        yield part


async def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            await _ready(descriptor)
        except OSError as problem:
            if problem.errno != errno.EIO:
                raise
            return b""  # A terminal whose last user has gone.
