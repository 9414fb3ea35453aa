"""One child process: start, readiness, kill, pause, resume, orderly stop.

How a child comes to be is the spawner's business (`kvstore.local.spawn`). State is one of: stopped, starting, ready,
paused, exited, killed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from kvstore.base.clock import Clock
from kvstore.local.spawn import Child, CommandSpawner, Spawner


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
    before: Callable[[], Awaitable[None]] | None = None
    """What must be done before the first start."""


class Process:
    """A `ProcessSpec` and, at times, a running child."""

    def __init__(self, spec: ProcessSpec, clock: Clock, spawner: Spawner | None = None) -> None:
        self.spec = spec
        self._spawner = spawner or CommandSpawner()
        self.state = "stopped"
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.restarts = 0
        self._clock = clock
        self._child: Child | None = None
        self._spawning = asyncio.Lock()
        self._is_unwanted = False
        self.ended = asyncio.Event()
        self.ended.set()

    @property
    def is_running(self) -> bool:
        """Whether a child exists (paused ones too)."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> bool:
        """Start the child and return at once; False, and no effect, if it runs or somebody else starts it.

        Spawning takes a moment: two starts at once must not leave a child that nobody knows.
        """
        async with self._spawning:
            if self.is_running:
                if self.state not in ("stopped", "killed"):
                    return False
                # Whoever asked it to end may not wait for it any more: it would end after this, and stay down.
                await self._see_out()
            self.spec.log_file.parent.mkdir(parents=True, exist_ok=True)
            self._is_unwanted = False
            self.ended.clear()
            try:
                self._child = await self._spawner.spawn(
                    self.spec.argv, {**os.environ, **self.spec.env}, self.spec.log_file
                )
            except BaseException:
                self.ended.set()
                raise
            self.pid, self.exit_code, self.state = self._child.pid, None, "starting"
            if self._is_unwanted:
                self.kill()
            return True

    async def wait_ready(self, timeout_seconds: float) -> bool:
        """Poll the readiness check; False on the deadline or when the child ends first."""
        deadline = self._clock.monotonic() + timeout_seconds
        pause = 0.02
        while self.is_running and self._clock.monotonic() < deadline:
            with contextlib.suppress(OSError, asyncio.TimeoutError, ValueError):
                if await self.spec.ready():
                    if self.state == "starting":
                        self.state = "ready"
                    return True
            await self._clock.sleep(pause)
            pause = min(0.1, pause * 1.2)
        return False

    async def wait_ended(self) -> int:
        """Wait for the child's end and return its code (negative: minus the signal)."""
        if self._child is None:
            raise RuntimeError(f"{self.spec.name} was never started")
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
        """kill -9; it stays down until started again. One that is being spawned is killed when it is there."""
        if self.is_running:
            self.state = "killed"
            self.signal(signal.SIGKILL)
        elif self._spawning.locked():
            self._is_unwanted = True

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
        """SIGTERM, then SIGKILL after the spec's `stop_seconds`. Waits for a spawn under way."""
        async with self._spawning:
            pass
        if not self.is_running:
            self.state = "stopped"
            return
        self.resume()
        self.state = "stopped"
        self.signal(signal.SIGTERM)
        await self._see_out()

    async def _see_out(self) -> None:
        """Wait for the end that was asked for, and insist after the spec's `stop_seconds`."""
        try:
            await asyncio.wait_for(self.ended.wait(), self.spec.stop_seconds)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended.wait()
