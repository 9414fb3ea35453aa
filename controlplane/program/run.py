"""What the entry points of programs share: the HOST:PORT flag, exit codes, the event loop, an end by signal."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from controlplane.program.options import OptionError
from kvstore.base import log
from kvstore.base.tasks import Supervisor

C = TypeVar("C")


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


def entry(
    name: str,
    parse: Callable[[], C],
    log_level: Callable[[C], str],
    work: Callable[[C], Coroutine[Any, Any, None]],
) -> int:
    """Read the flags and do `work` until a signal: 0 after it, 2 for a wrong command line. A failure is raised (1)."""
    try:
        config = parse()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure(name, level=log_level(config))
    run(until_signal(name, work(config)))
    return 0


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program's coroutine on uvloop where it exists."""
    try:
        import uvloop
    except ImportError:  # Not on every platform.
        asyncio.run(main)
    else:
        uvloop.run(main)
