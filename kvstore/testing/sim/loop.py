"""An event loop on virtual time: one thread, no IO, nothing that a second run would do otherwise.

Timers fire in the order of (time, when they were set); what is ready runs first in, first out, as in asyncio. Time
stands still while callbacks run and jumps to the next timer when none is left, so a minute takes what its work takes.

Every callback belongs to the `Process` in whose context it was scheduled (a context variable, which asyncio carries
into tasks, timers and futures by itself). That is how a process is paused (its callbacks are kept back) and killed
(they are dropped for ever, at whatever await they stand; not even `finally` runs, as after kill -9).
"""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

_MOST_CALLBACKS = 2_000_000
"""So many in one instant are a loop that never ends."""
_OWNER: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Killed(BaseException):
    """Unwinds the code of a process that was killed within a call; no `except Exception` may stop it."""


class Process:
    """What is paused and killed as one: a member's boot."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_paused = False
        self.parked: list[_Handle] = []
        self.steps_left: int | None = None
        """Kill before so many more callbacks have run; None = do not count."""
        self.on_steps_over: Callable[[], None] = lambda: None
        self.lanes: dict[Any, _Lane] = {}
        self.context = contextvars.copy_context()
        self.context.run(_OWNER.set, self)

    def dead(self) -> bool:
        """Whether this process is dead, while code of it may still be on the stack."""
        return self.is_dead


def current_process() -> Process | None:
    """Whose code runs now."""
    return _OWNER.get()


_Job = tuple[Callable[[], Any], Callable[[Any, "Exception | None"], None]]
"""Work of a thread, and who is told what came of it."""


class _Lane:
    """A thread: one job after the other."""

    def __init__(self) -> None:
        self.jobs: deque[_Job] = deque()
        self.is_busy = False


class _Handle:
    """What asyncio's handles are for who holds one: `cancel` and `when`. Most of a run's objects are these."""

    __slots__ = ("args", "at", "callback", "context", "is_cancelled")

    def __init__(
        self,
        callback: Any,
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        at: float,
    ) -> None:
        self.callback, self.args, self.at = callback, args, at
        self.context = contextvars.copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not run."""
        self.is_cancelled = True
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.is_cancelled

    def when(self) -> float:
        """When a timer fires."""
        return self.at


class SimLoop(asyncio.BaseEventLoop):
    """The event loop of a whole simulated world: callbacks by virtual time, one after the other.

    Args:
        job_seconds: (how long until a job in a thread begins, a function for how long it took after it ran).
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        """What `time` says; the loop alone sets it."""
        self._timers: list[tuple[float, int, _Handle]] = []
        self._order = 0
        self._soon: deque[_Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.errors: list[BaseException] = []
        """What fell out of callbacks of living processes: each is a bug."""
        self.job_starts_after: Callable[[], float] = lambda: 0.0
        self.job_took: Callable[[], float] = lambda: 0.0
        self.network: Any = None
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_error)

    # What asyncio asks of a loop

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> _Handle:
        """Run after what is ready now."""
        handle = _Handle(callback, args, context, self.now)
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Any,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        """Run `delay` seconds from now."""
        when = self.now + delay
        handle = _Handle(callback, args, context, when)
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, handle))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> _Handle:
        """Run at `when`. Cancelled timers are skipped when their time comes."""
        handle = _Handle(callback, args, context, when)
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, handle))
        return handle

    def _make_task(self, loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        process = _OWNER.get()
        if process is not None:
            # Held, so that what a kill leaves behind is not closed by the garbage collector at some moment.
            self.tasks.append(task)
            if len(self.tasks) > 4096:
                self.tasks = [one for one in self.tasks if not one.done()]
        return task

    def _note_error(self, _: Any, what: dict[str, Any]) -> None:
        """Errors that nobody asked for are no errors of a callback; those are noted by `_run_ready`."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run `func` within virtual time, in its executor's order; an executor here has one thread."""
        future: asyncio.Future[Any] = self.create_future()

        def ended(result: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.run_job(executor, lambda: func(*args), ended)
        return future

    def run_job(
        self, thread: Any, work: Callable[[], Any], ended: Callable[[Any, Exception | None], None]
    ) -> None:
        """Run `work` in `thread` after what that was given before; tell `ended` when it took its time."""
        process = _OWNER.get()
        if process is None:
            raise RuntimeError("only processes have threads")
        lane = process.lanes.get(thread)
        if lane is None:
            lane = process.lanes[thread] = _Lane()
        lane.jobs.append((work, ended))
        if not lane.is_busy:
            lane.is_busy = True
            self.call_later(self.job_starts_after(), self._run_job, lane)

    def _run_job(self, lane: _Lane) -> None:
        job, ended = lane.jobs.popleft()
        result, error = None, None
        try:
            result = job()
        except Exception as raised:
            error = raised
        self.call_later(self.job_took(), self._end_job, lane, ended, result, error)

    def _end_job(
        self,
        lane: _Lane,
        ended: Callable[[Any, Exception | None], None],
        result: Any,
        error: Exception | None,
    ) -> None:
        if lane.jobs:
            self.call_later(self.job_starts_after(), self._run_job, lane)
        else:
            lane.is_busy = False
        ended(result, error)

    async def create_server(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Listen on the simulated network."""
        return self.network.listen(factory, host, port)

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Connect over the simulated network."""
        return await self.network.connect(factory, host, port)

    # Processes

    def spawn(self, process: Process, coro: Any, name: str) -> asyncio.Task[Any]:
        """Run `coro` as a task of `process`."""
        return process.context.run(lambda: self.create_task(coro, name=name))

    def resume(self, process: Process) -> None:
        """Let a paused process go on, with all that came meanwhile at once."""
        process.is_paused = False
        parked, process.parked = process.parked, []
        self._soon.extend(parked)

    # Running

    def run_until_time(self, end: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Run all callbacks up to virtual time `end`, or until `is_over` says so between two instants."""
        asyncio.events._set_running_loop(self)
        timers, soon, pop = self._timers, self._soon, heapq.heappop
        try:
            while not is_over():
                if soon:
                    self._run_ready()
                if not timers or timers[0][0] > end:
                    break
                now = self.now = max(self.now, timers[0][0])
                while timers and timers[0][0] <= now:
                    handle = pop(timers)[2]
                    if not handle.is_cancelled:
                        soon.append(handle)
            self.now = max(self.now, end) if not is_over() else self.now
        finally:
            asyncio.events._set_running_loop(None)

    def _run_ready(self) -> None:
        next_one, soon, owner_of = self._soon.popleft, self._soon, _OWNER
        run = 0
        while soon:
            handle = next_one()
            if handle.is_cancelled:
                continue
            process = handle.context.get(owner_of)
            if (
                process is not None
                and (process.is_dead or process.is_paused or process.steps_left is not None)
                and not self._may_run(process, handle)
            ):
                continue
            run += 1
            if run > _MOST_CALLBACKS:
                raise RuntimeError(f"time stands still at {self.now}: {handle.callback!r}")
            try:
                handle.context.run(handle.callback, *handle.args)
            except Killed:
                pass
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.errors.append(error)

    def _may_run(self, process: Process, handle: _Handle) -> bool:
        if process.is_dead:
            return False
        if process.is_paused:
            process.parked.append(handle)
            return False
        if process.steps_left is not None:
            process.steps_left -= 1
            if process.steps_left < 0:
                process.steps_left = None
                process.on_steps_over()
                return not process.is_dead
        return True

    def dispose(self) -> None:
        """Drop everything that has not ended, without a word."""
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for one in asyncio.all_tasks(self):
            one._log_destroy_pending = False  # type: ignore[attr-defined]
        self._soon.clear()
        self._timers.clear()
        # Coroutines close as their tasks go; what they do then reaches nobody.
        self.set_exception_handler(lambda *_: None)
        self.tasks.clear()
        self.close()
