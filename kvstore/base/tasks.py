"""Named background tasks with an owner.

A `Supervisor` owns tasks: an *eternal* one must not end while the supervisor runs, and if it does - by return or by
exception - `wait()` raises and the process ends; a *finite* one may return, but its exception also surfaces. Nothing
is fire-and-forget.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class TaskEndedError(RuntimeError):
    """An eternal task returned; `task_name` says which."""

    def __init__(self, task_name: str) -> None:
        super().__init__(f"task {task_name!r} ended although it must run for ever")
        self.task_name = task_name


class Supervisor:
    """Owner of the tasks of one component."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._failure: asyncio.Future[None] | None = None
        self._first_error: BaseException | None = None
        self._stopping = False

    def start(
        self, coro: Coroutine[Any, Any, Any], name: str, *, eternal: bool = False
    ) -> asyncio.Task[Any]:
        """Run `coro` as a task named `<supervisor>/<name>`; must be called on the running loop."""
        task = asyncio.get_running_loop().create_task(coro, name=f"{self.name}/{name}")
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._ended(done, eternal))
        return task

    def _ended(self, task: asyncio.Task[Any], eternal: bool) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error: BaseException | None = task.exception()
        if error is None and eternal and not self._stopping:
            error = TaskEndedError(task.get_name())
        if error is not None and self._first_error is None:
            self._first_error = error
            if self._failure is not None and not self._failure.done():
                self._failure.set_exception(error)

    async def wait(self) -> None:
        """Return never, or raise the first failure of any task."""
        if self._first_error is not None:
            raise self._first_error
        if self._failure is None or self._failure.done():
            self._failure = asyncio.get_running_loop().create_future()
        await self._failure

    async def stop(self, timeout_seconds: float = 5.0) -> None:
        """Cancel all tasks and wait for their end, at most `timeout_seconds`. Idempotent."""
        self._stopping = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)
