"""Members as programs for the tests beside: start as a launcher of etcd would, wait for its line, talk by etcdctl."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

READY = "ready to serve client requests"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Member:
    """One `kvstore` process with its log."""

    def __init__(
        self, folder: Path, flags: Sequence[str], env: dict[str, str] | None = None
    ) -> None:
        self.flags = list(flags)
        self.folder = folder
        self.env = {**os.environ, **(env or {})}
        self.log = folder / f"{len(list(folder.glob('*.log')))}.log"
        self.log.touch()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> "Member":
        """Start it; it may not be ready yet."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kvstore", *self.flags, *more],
                stderr=log,
                stdout=subprocess.DEVNULL,
                cwd=self.folder,
                env=self.env,
            )
        return self

    def lines(self) -> list[dict[str, object]]:
        """The log so far."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def said(self, message: str) -> dict[str, object] | None:
        """The last line with that message."""
        return next((one for one in reversed(self.lines()) if one.get("msg") == message), None)

    def ready(self, seconds: float = 60.0) -> "Member":
        """Wait until it says so."""

        def is_ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return self.said(READY) is not None

        wait_for(is_ready, f"ready: {self.log.read_text()[-2000:]}", seconds)
        return self

    def exit_code(self, seconds: float = 20.0) -> int:
        """Wait for its end."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.exit_code()


class Etcdctl:
    """etcdctl (3.4 from PATH) against some endpoints."""

    def __init__(self, *endpoints: str, flags: Sequence[str] = ()) -> None:
        self.arguments = ["etcdctl", "--endpoints", ",".join(endpoints), *flags]

    def run(self, *words: str, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
        """The finished call."""
        return subprocess.run(
            [*self.arguments, *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
        )

    def ok(self, *words: str) -> str:
        """Its output; fails unless it succeeds."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> object:
        """Its output as JSON."""
        return json.loads(self.ok(*words, "-w", "json"))


def has_etcdctl() -> bool:
    """Whether Debian's etcd-client is there."""
    return shutil.which("etcdctl") is not None
