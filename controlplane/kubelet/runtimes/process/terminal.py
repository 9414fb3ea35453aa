"""A child process on a terminal of its own.

It is started here and not by the event loop: uvloop runs `preexec_fn` before the child leads a session, and only the
leader of one can take a terminal.
"""

import asyncio
import fcntl
import os
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.05
"""How often the end is looked for where the kernel has no descriptors of processes."""


class TerminalProcess:
    """What `asyncio.subprocess.Process` gives of a child, as far as the runtime needs it."""

    def __init__(
        self,
        argv: Sequence[str],
        terminal: int,
        directory: Path,
        env: Mapping[str, str],
        before: Callable[[], None],
    ) -> None:
        """Start it on the slave side `terminal`. Raises OSError."""

        def prepare() -> None:
            before()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self._child = subprocess.Popen(
            list(argv),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=directory,
            env=dict(env),
            start_new_session=True,
            preexec_fn=prepare,
        )
        self.pid = self._child.pid

    async def wait(self) -> int:
        """Its exit code; minus the number of the signal that ended it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            while self._child.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
            return self._child.returncode
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._child.wait()
