"""Two ways to get a child process: run a command, or ask the warm parent for a fork.

Both give a `Child` that runs in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor, and
that dies with the supervisor, so that nothing is left behind even after kill -9 of it. The warm way serves command
lines of the form `<this python> -m MODULE …`; anything else, and any platform where forking a Python process is not
safe (macOS), is run as a command.
"""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kvstore.base.tasks import Supervisor
from kvstore.local.lifeline import tied
from kvstore.local.warm import REQUEST_LIMIT_BYTES

_START_SECONDS = 20.0


class Child(Protocol):
    """A running, or ended, child process."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal if one ended it."""
        ...

    def send_signal(self, number: int) -> None:
        """Signal it. Raises ProcessLookupError once it is gone."""
        ...

    async def wait(self) -> int:
        """Its return code, when it has ended."""
        ...


class Spawner(Protocol):
    """Starts children."""

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str], log_file: Path) -> Child:
        """Start `argv` in a session of its own, output appended to `log_file`. Raises OSError."""
        ...

    async def close(self) -> None:
        """Give back what the spawner holds, after its children have ended."""
        ...


class CommandSpawner:
    """Each child is a command of its own."""

    is_open = True

    async def start(self) -> None:
        """Nothing to start."""

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str], log_file: Path) -> Child:
        """Start `argv`. Raises OSError."""
        if shutil.which(argv[0], path=env.get("PATH")) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
        with log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *tied(argv),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env),
                start_new_session=True,
            )

    async def close(self) -> None:
        """Nothing to give back."""


class _Fork:
    """A child of the warm parent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def send_signal(self, number: int) -> None:
        """Signal it. Raises ProcessLookupError once it is gone."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its return code, when it has ended."""
        await self._ended.wait()
        return -signal.SIGKILL if self.returncode is None else self.returncode

    def end(self, returncode: int) -> None:
        """It has ended."""
        self.returncode = returncode
        self._ended.set()


class WarmSpawner:
    """Children forked by a warm parent that has `preload` imported."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = tuple(preload)
        self._commands = CommandSpawner()
        self._tasks = Supervisor("warm")
        self._parent: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._children: dict[int, _Fork] = {}
        self._asked: dict[int, asyncio.Future[_Fork]] = {}
        self._ids = 0

    @property
    def is_open(self) -> bool:
        """Whether the warm parent is there."""
        return self._writer is not None

    async def start(self) -> None:
        """Start the warm parent; it imports while the caller goes on. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._parent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kvstore.local.warm"),
                *("--control-fd", str(theirs.fileno()), "--preload", ",".join(self._preload)),
                stdin=DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=REQUEST_LIMIT_BYTES)
        self._tasks.start(self._read(reader), "read")

    async def spawn(self, argv: Sequence[str], env: Mapping[str, str], log_file: Path) -> Child:
        """Fork a child that runs `argv`; as a command if the warm parent cannot. Raises OSError."""
        if self._writer is None or tuple(argv[:2]) != (sys.executable, "-m"):
            return await self._commands.spawn(argv, env, log_file)
        self._ids += 1
        answer: asyncio.Future[_Fork] = asyncio.get_running_loop().create_future()
        self._asked[self._ids] = answer
        request = {
            "id": self._ids,
            "module": argv[2],
            "argv": list(argv[3:]),
            "env": dict(env),
            "log": str(log_file),
        }
        self._writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(_START_SECONDS):
            return await answer

    async def close(self) -> None:
        """End the warm parent, and with it any child that still runs."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None
        if self._parent is not None:
            await self._parent.wait()
            self._parent = None
        await self._tasks.stop()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._on_message(json.loads(line))
        self._writer = None
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(OSError("the warm parent has ended"))
        # Its children die with it.
        for child in self._children.values():
            child.end(-signal.SIGKILL)
        self._children.clear()

    def _on_message(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            child = self._children.pop(message["pid"], None)
            if child is not None:
                child.end(os.waitstatus_to_exitcode(message["status"]))
            return
        answer = self._asked.pop(message["id"])
        if "error" in message:
            answer.set_exception(OSError(f"cannot fork: {message['error']}"))
            return
        child = self._children[message["pid"]] = _Fork(message["pid"])
        if answer.done():
            # Nobody waits any more: the start was given up.
            child.send_signal(signal.SIGKILL)
        else:
            answer.set_result(child)


def make_spawner(preload: Sequence[str]) -> CommandSpawner | WarmSpawner:
    """The quickest spawner that is safe here. Call its `start`."""
    return WarmSpawner(preload) if sys.platform == "linux" else CommandSpawner()
