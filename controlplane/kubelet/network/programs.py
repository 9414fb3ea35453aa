"""Programs that a node runs in its own network for its pods: the proxy of Services and the name server.

They are started anew, with back-off, when they end: also when the node's network was made anew.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.kubelet.runtimes.interface import ContainerRuntime, ContainerRuntimeError
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_log = get_logger("programs")

_STEADY_SECONDS = 10.0
"""A program that ran this long starts again at once."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program."""

    name: str
    argv: Sequence[str]
    """After the interpreter: `-m`, module and flags."""
    address: str = ""
    """One the node is given for it."""
    addresses: str = ""
    """A whole range of them."""


class NodePrograms:
    """Keeps programs running in the network of the node whose folder is `root`."""

    def __init__(
        self, runtime: ContainerRuntime, root: Path, clock: Clock, rng: random.Random
    ) -> None:
        self._runtime = runtime
        self._root = root
        self._clock = clock
        self._rng = rng

    async def keep(self, program: Program) -> None:
        """Run it until cancelled."""
        backoff = Backoff(0.5, 10.0, rng=self._rng)
        while True:
            begun = self._clock.monotonic()
            code = await self._run(program)
            if self._clock.monotonic() - begun > _STEADY_SECONDS:
                backoff.reset()
            _log.warning("program of the node ended", program=program.name, code=code)
            await self._clock.sleep(backoff.next())

    async def _run(self, program: Program) -> int:
        try:
            # Anew each time: the node's network may have been made anew.
            if program.address:
                (await self._runtime.listen(program.address, 0)).close()
            if program.addresses:
                await self._runtime.take_range(program.addresses)
        except ContainerRuntimeError as problem:
            _log.debug("no address yet", program=program.name, error=str(problem))
            return 1
        enter = [sys.executable, "-m", "controlplane.kubelet.network.enter", str(self._root)]
        with open(self._root / f"{program.name}.log", "ab") as log:
            process = await asyncio.create_subprocess_exec(
                *enter, sys.executable, *program.argv,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
