"""The bridge from ordinary threads to an event loop: one loop in a thread of its own, and calls into it.

Any number of threads may call. A caller that is interrupted (Ctrl-C) cancels what it waits for. After a fork the
child has no such thread - threads are not copied - so it is told so instead of waiting for ever.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kvstore.client.errors import ClientClosed

T = TypeVar("T")

_STOP_SECONDS = 10.0


class Portal:
    """A running loop; `run` waits for a coroutine on it."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_on_loop_error)
        self._process_id = os.getpid()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name=name, daemon=True)
        self._thread.start()
        # Also at the exit of a program that forgot to close.
        self._finalizer = weakref.finalize(self, _stop, self._loop, self._thread, self._process_id)

    @property
    def is_open(self) -> bool:
        """True until `close`."""
        return self._finalizer.alive

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the coroutine `make` returns; the loop must be open and not our own."""
        if os.getpid() != self._process_id:
            raise ClientClosed(
                "this client was opened before a fork and cannot be used in the child, nor can another one there while "
                "this is open here: close it before the fork, or start processes by spawn or forkserver"
            )
        if not self.is_open:
            raise ClientClosed("the client is closed")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a blocking call on the client's own loop would wait for itself")
        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and its thread. Idempotent; without effect in a forked child."""
        self._finalizer()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process_id: int) -> None:
    if os.getpid() == process_id and thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_SECONDS)


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Loops of one process share gRPC's wake-up pipe: whoever comes second finds it empty, which is no error
    # (grpc issue 25364).
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
