"""What the entry points of programs share: the HOST:PORT flag, the event loop, and running until a signal."""

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from kvstore.base.tasks import Supervisor


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` as a pair, for argparse."""
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "0.0.0.0", int(port)


async def until_signal(name: str, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or SIGTERM or SIGINT comes, then stop it; its failure is raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(f"{name}-main")
    app = supervisor.start(work, "app")
    stopped = supervisor.start(stop.wait(), "stop")
    await asyncio.wait((app, stopped), return_when=asyncio.FIRST_COMPLETED)
    await supervisor.stop(10.0)
    if app.done() and not app.cancelled():
        app.result()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program's coroutine on uvloop where it exists."""
    try:
        import uvloop
    except ImportError:  # Not on every platform.
        asyncio.run(main)
    else:
        uvloop.run(main)
