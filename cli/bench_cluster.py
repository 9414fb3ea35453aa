"""A throw-away store cluster of real processes on loopback: etcd's program, or ours, which takes the same flags.

For benchmarks and tests. Processes are killed by their own handles only; the directory is the caller's to remove.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from kvstore.base.clock import Clock, SystemClock
from kvstore.base.ports import free_port
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls

OURS: tuple[str, ...] = (sys.executable, "-m", "kvstore")


def etcd_program() -> tuple[str, ...] | None:
    """The installed etcd, or None."""
    found = shutil.which("etcd")
    return (found,) if found else None


class StoreMember:
    """One process of a cluster."""

    def __init__(self, name: str, directory: Path, program: Sequence[str], scheme: str) -> None:
        self.name = name
        self.directory = directory
        self.program = tuple(program)
        self.client_url = f"{scheme}://127.0.0.1:{free_port()}"
        self.peer_url = f"http://127.0.0.1:{free_port()}"
        self.log = directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True while the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self, initial_cluster: str, flags: Sequence[str]) -> None:
        """Start the process; its output goes to `log`."""
        arguments = [
            *self.program,
            f"--name={self.name}",
            f"--data-dir={self.directory / self.name}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={initial_cluster}",
            *flags,
        ]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class StoreCluster:
    """`size` members under `directory`; enter it to start them and wait until they serve."""

    def __init__(
        self,
        program: Sequence[str],
        directory: Path,
        *,
        size: int = 3,
        flags: Sequence[str] = (),
        scheme: str = "http",
        tls: ClientTls | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._flags = tuple(flags)
        self._tls = tls
        directory.mkdir(parents=True, exist_ok=True)
        self.members = [
            StoreMember(f"m{index + 1}", directory, program, scheme) for index in range(size)
        ]

    @property
    def endpoints(self) -> list[str]:
        """The client URLs of all members."""
        return [member.client_url for member in self.members]

    def client(self, *, timeout_seconds: float = 5.0) -> Client:
        """A client of the whole cluster."""
        return Client(self.endpoints, tls=self._tls, timeout_seconds=timeout_seconds)

    def start(self, member: StoreMember) -> None:
        """Start a member, the first time or again."""
        initial = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        member.start(initial, self._flags)

    async def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Return when every running member answers a linearizable read; TimeoutError with its log otherwise."""
        deadline = self.clock.monotonic() + timeout_seconds
        for member in self.members:
            async with Client([member.client_url], tls=self._tls, timeout_seconds=2.0) as client:
                while True:
                    with suppress(ClientError):
                        await client.get(b"ready")
                        break
                    if not member.is_running or self.clock.monotonic() >= deadline:
                        tail = member.log.read_text(errors="replace")[-2000:]
                        raise TimeoutError(f"{member.name} does not serve; its log ends:\n{tail}")
                    await self.clock.sleep(0.1)

    async def leader(self, timeout_seconds: float = 30.0) -> StoreMember:
        """The member that says of itself that it leads."""
        deadline = self.clock.monotonic() + timeout_seconds
        while self.clock.monotonic() < deadline:
            for member in self.members:
                if not member.is_running:
                    continue
                async with Client(
                    [member.client_url], tls=self._tls, timeout_seconds=1.0
                ) as client:
                    with suppress(ClientError):
                        if (await client.status(member.client_url)).is_leader:
                            return member
            await self.clock.sleep(0.05)
        raise TimeoutError(f"no leader within {timeout_seconds:g} s")

    def stop(self) -> None:
        """End all processes: politely, then not."""
        for member in self.members:
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        for member in self.members:
            if member.process is None:
                continue
            try:
                member.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                member.kill()

    async def __aenter__(self) -> "StoreCluster":
        for member in self.members:
            self.start(member)
        try:
            await self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.stop)
