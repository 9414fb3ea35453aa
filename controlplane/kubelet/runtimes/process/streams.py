"""The standard streams of a child process: pipes or a terminal, and others who attach to them."""

import asyncio
import contextlib
import os
import pty
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controlplane.kubelet.runtimes.interface import Stream
from controlplane.kubelet.runtimes.session import DescriptorSession

_QUEUED = 256
"""Parts an attached reader may lag behind before its container waits for it."""


@dataclass(slots=True)
class Streams:
    """Both sides of the streams of one child, until it runs."""

    child: tuple[int, int, int]
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    master: int | None = None

    def session(
        self, wait: Callable[[], Awaitable[int]], kill: Callable[[], None]
    ) -> DescriptorSession:
        """This side as a session, which owns the descriptors from now on."""
        return DescriptorSession(
            stdin=self.stdin,
            stdout=self.stdout,
            stderr=self.stderr,
            master=self.master,
            wait=wait,
            kill=kill,
        )

    def close_child(self) -> None:
        """The child has its own copies."""
        _close(*self.child)

    def close_all(self) -> None:
        """There is no child."""
        _close(*self.child, self.stdin, self.stdout, self.stderr, self.master)


def open_streams(*, stdin: bool, tty: bool) -> Streams:
    """New streams; without `stdin` the child reads nothing."""
    if tty:
        master, slave = pty.openpty()
        return Streams((slave, slave, slave), master=master)
    if stdin:
        child_in, own_in = os.pipe()
    else:
        child_in, own_in = os.open(os.devnull, os.O_RDONLY), None
    own_out, child_out = os.pipe()
    own_err, child_err = os.pipe()
    return Streams((child_in, child_out, child_err), own_in, own_out, own_err)


def _close(*descriptors: int | None) -> None:
    for descriptor in {one for one in descriptors if one is not None}:
        with contextlib.suppress(OSError):
            os.close(descriptor)


class Attached:
    """See `Session`: one of those who see a container's streams."""

    def __init__(
        self,
        source: DescriptorSession,
        wait: Callable[[], Awaitable[int]],
        leave: Callable[["Attached"], None],
        *,
        once: bool,
    ) -> None:
        self._source, self._wait, self._leave, self._once = source, wait, leave, once
        self._queue: asyncio.Queue[tuple[Stream, bytes] | None] = asyncio.Queue(_QUEUED)
        self._left = False

    async def feed(self, stream: Stream, data: bytes) -> None:
        """The container has written."""
        if not self._left:
            await self._queue.put((stream, data))

    def end(self) -> None:
        """The container writes no more."""
        self._left = True
        while True:
            try:
                self._queue.put_nowait(None)
            except asyncio.QueueFull:
                self._queue.get_nowait()
            else:
                return

    async def read(self) -> tuple[Stream, bytes] | None:
        """See `Session`."""
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)
        return item

    async def write(self, data: bytes) -> None:
        """See `Session`."""
        await self._source.write(data)

    def close_stdin(self) -> None:
        """See `Session`. The container's input ends with it only if the pod says `stdinOnce`."""
        if self._once:
            self._source.close_stdin()

    def resize(self, columns: int, rows: int) -> None:
        """See `Session`."""
        self._source.resize(columns, rows)

    async def wait(self) -> int:
        """See `Session`."""
        return await self._wait()

    async def close(self) -> None:
        """See `Session`."""
        self._leave(self)
        if not self._left:
            self.end()
