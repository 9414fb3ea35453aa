"""One child process: start, readiness, kill, pause, resume, orderly stop.

A child runs in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor, and dies with the
supervisor (Linux: PR_SET_PDEATHSIG), so that nothing is left behind even after kill -9 of it. Output goes to one log
file, appended. State is one of: stopped, starting, ready, paused, exited, killed.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from kvstore.base.clock import Clock

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """To be called in a child between fork and exec: SIGKILL me when my parent ends (Linux only)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to run one program. `name` is `<group>/<kind>` for a master's parts and `<group>` for a node."""

    name: str
    group: str
    kind: str
    argv: tuple[str, ...]
    log_file: Path
    ready: Callable[[], Awaitable[bool]]
    """Whether it serves; asked again and again until it does. Must have a timeout of its own."""
    addresses: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    stop_seconds: float = 5.0
    """How long an orderly stop may take before SIGKILL."""


class Process:
    """A `ProcessSpec` and, at times, a running child."""

    def __init__(self, spec: ProcessSpec, clock: Clock) -> None:
        self.spec = spec
        self.state = "stopped"
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.restarts = 0
        self._clock = clock
        self._child: asyncio.subprocess.Process | None = None
        self.ended = asyncio.Event()
        self.ended.set()

    @property
    def is_running(self) -> bool:
        """Whether a child exists (paused ones too)."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start the child; returns at once. No effect if it runs."""
        if self.is_running:
            return
        self.spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log_file.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.spec.env},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.pid, self.exit_code, self.state = self._child.pid, None, "starting"
        self.ended.clear()

    async def wait_ready(self, timeout_seconds: float) -> bool:
        """Poll the readiness check; False on the deadline or when the child ends first."""
        deadline = self._clock.monotonic() + timeout_seconds
        pause = 0.03
        while self.is_running and self._clock.monotonic() < deadline:
            with contextlib.suppress(OSError, asyncio.TimeoutError, ValueError):
                if await self.spec.ready():
                    if self.state == "starting":
                        self.state = "ready"
                    return True
            await self._clock.sleep(pause)
            pause = min(0.2, pause * 1.3)
        return False

    async def wait_ended(self) -> int:
        """Wait for the child's end and return its code (negative: minus the signal)."""
        assert self._child is not None
        code = await self._child.wait()
        self.exit_code, self.pid = code, None
        if self.state not in ("stopped", "killed"):
            self.state = "killed" if code < 0 else "exited"
        self.ended.set()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child, if there is one."""
        if self.is_running and self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    def kill(self) -> None:
        """kill -9; it stays down until started again."""
        if self.is_running:
            self.state = "killed"
            self.signal(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: the process holds its sockets and answers nobody."""
        if self.is_running:
            self.state = "paused"
            self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        if self.is_running and self.state == "paused":
            self.state = "ready"
            self.signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the spec's `stop_seconds`."""
        if not self.is_running:
            self.state = "stopped"
            return
        self.resume()
        self.state = "stopped"
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended.wait(), self.spec.stop_seconds)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended.wait()
