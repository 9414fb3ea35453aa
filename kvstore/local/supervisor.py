"""Many processes: started in stages, watched, restarted when they exit by themselves, stopped in reverse.

Restart policy: a process that *exits* (a lost leader lease, a crash with a code) is started again after a back-off;
one that *was killed by a signal* stays down until it is told to start, because in this product somebody meant it.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence

from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor as Tasks
from kvstore.local.process import Process, ProcessSpec
from kvstore.local.spawn import CommandSpawner, Spawner

log = get_logger("local.supervisor")


class NotReady(Exception):
    """A process did not become ready; the message says which, why, and where its log is."""

    def __init__(self, process: Process) -> None:
        spec = process.spec
        why = "ended" if process.exit_code is not None else "did not become ready in time"
        code = "" if process.exit_code is None else f" with code {process.exit_code}"
        super().__init__(f"{spec.name} {why}{code}{_last_line(process)}; its log: {spec.log_file}")
        self.process = process


def _last_line(process: Process) -> str:
    try:
        lines = process.spec.log_file.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f": {_said(lines[-1])[:400]}" if lines else ""


def _said(line: str) -> str:
    """A line of a log as a sentence: members and API servers write JSON."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    message = str(entry.get("msg") or entry.get("event") or line)
    error = entry.get("error")
    return f"{message}: {error}" if error else message


class ProcessSupervisor:
    """Owner of all child processes of a cluster."""

    def __init__(
        self,
        stages: Sequence[Sequence[ProcessSpec]],
        clock: Clock,
        spawner: Spawner | None = None,
    ) -> None:
        spawner = spawner or CommandSpawner()
        self.processes: dict[str, Process] = {
            spec.name: Process(spec, clock, spawner) for stage in stages for spec in stage
        }
        self._stages = [[spec.name for spec in stage] for stage in stages]
        self._clock = clock
        self._tasks = Tasks("processes")
        self._stopping = False
        self._backoffs: dict[str, Backoff] = {}
        self._rng = random.Random()

    async def start_all(
        self,
        on_progress: Callable[[Process, float], None],
        ready_timeout_seconds: float = 60.0,
    ) -> None:
        """Start stage after stage, each when the one before is ready; NotReady on the first that fails."""
        begun = self._clock.monotonic()
        for stage in self._stages:
            for name in stage:
                before = self.processes[name].spec.before
                if before is not None:
                    await before()
            async with asyncio.TaskGroup() as group:
                for name in stage:
                    process = self.processes[name]
                    await self._start(process)
                    group.create_task(
                        self._ready_or_fail(process, begun, on_progress, ready_timeout_seconds)
                    )

    async def _ready_or_fail(
        self,
        process: Process,
        begun: float,
        on_progress: Callable[[Process, float], None],
        timeout: float,
    ) -> None:
        if not await process.wait_ready(timeout):
            raise NotReady(process)
        on_progress(process, self._clock.monotonic() - begun)

    async def _start(self, process: Process) -> None:
        if await process.start():
            self._tasks.start(self._watch(process), f"watch {process.spec.name}")

    async def _watch(self, process: Process) -> None:
        code = await process.wait_ended()
        if self._stopping or process.state in ("stopped", "killed"):
            return
        log.warning("process exited by itself", process_name=process.spec.name, code=code)
        backoff = self._backoffs.setdefault(process.spec.name, Backoff(0.5, 30.0, rng=self._rng))
        await self._clock.sleep(backoff.next())
        if not self._stopping and process.state == "exited":
            process.restarts += 1
            await self._start(process)
            if await process.wait_ready(60.0):
                await self._clock.sleep(30.0)
                backoff.reset()

    def match(self, name: str) -> list[Process]:
        """The processes called `name`: one by its full name, or all of a master or node."""
        exact = self.processes.get(name)
        if exact is not None:
            return [exact]
        return [process for process in self.processes.values() if process.spec.group == name]

    async def kill(self, processes: Sequence[Process]) -> None:
        """kill -9, and wait until they are gone."""
        for process in processes:
            process.kill()
        for process in processes:
            await process.ended.wait()

    async def start(self, processes: Sequence[Process], timeout_seconds: float = 30.0) -> list[str]:
        """Start those that are down and wait for them; the names of those that did not become ready."""
        for process in processes:
            await self._start(process)
        late = await asyncio.gather(*(process.wait_ready(timeout_seconds) for process in processes))
        return [p.spec.name for p, ok in zip(processes, late, strict=True) if not ok]

    async def stop(self, processes: Sequence[Process]) -> None:
        """Orderly stop of some, side by side."""
        await asyncio.gather(*(process.stop() for process in processes))

    async def stop_all(self) -> None:
        """Orderly stop of all, last stage first."""
        self._stopping = True
        for stage in reversed(self._stages):
            await self.stop([self.processes[name] for name in stage])
        await self._tasks.stop()
