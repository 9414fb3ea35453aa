"""Worker threads of a member: work in order, its outcome back on the loop.

The log's thread is given work for every batch of proposals, so the hand-over counts: a queue without locks of Python's
and one call on the loop, where an executor would make two futures and wake a condition for each.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Ended = Callable[[Any, BaseException | None], None]
"""Called on the loop with what the work returned, or with its error."""

_Item = tuple[Callable[[], Any], Ended]


class WorkerThread:
    """One thread. It does not keep the process from ending: a disk may hang for ever."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: SimpleQueue[_Item | None] = SimpleQueue()
        self._delayed: list[_Item] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Any], ended: Ended) -> None:
        """Run `work` after all that was submitted before."""
        # After this turn of the loop: until then the thread could not run, for the loop holds the interpreter's lock.
        if not self._delayed:
            self._loop.call_soon(self._put_delayed)
        self._delayed.append((work, ended))

    def _put_delayed(self) -> None:
        items, self._delayed = self._delayed, []
        for item in items:
            self._items.put(item)

    def stop(self) -> None:
        """End the thread after what was submitted; blocks."""
        self._put_delayed()
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            work, ended = item
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as caught:
                error = caught
            try:
                self._loop.call_soon_threadsafe(ended, result, error)
            except RuntimeError:
                # The loop is closed: there is nobody left to tell.
                return


class ExecutorThread:
    """The same by `loop.run_in_executor`, for loops that bring threads of their own, as a simulation's."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def submit(self, work: Callable[[], Any], ended: Ended) -> None:
        """Run `work` after all that was submitted before."""
        # The loop tells executors apart and asks no more of them.
        future = self._loop.run_in_executor(self, work)  # type: ignore[arg-type]

        def back(done: asyncio.Future[Any]) -> None:
            if not done.cancelled():
                error = done.exception()
                ended(None if error else done.result(), error)

        future.add_done_callback(back)

    def stop(self) -> None:
        """Nothing to end."""
