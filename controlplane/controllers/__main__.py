"""The program `python -m controlplane.controllers`: flags, log, event loop, signals."""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Callable

import uvloop

from controlplane.controllers.app import COMPONENT, run
from controlplane.controllers.config import ConfigError, ControllersConfig, parse_arguments
from controlplane.controllers.registry import chosen
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _main(config: ControllersConfig) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        # One cancellation only: the second would cut short the release of the lease.
        loop.add_signal_handler(number, _once(task.cancel))
    with contextlib.suppress(asyncio.CancelledError):
        await run(config, SystemClock(), random.Random())


def _once(call: Callable[[], object]) -> Callable[[], None]:
    calls = [call]

    def wrapper() -> None:
        if calls:
            calls.pop()()

    return wrapper


def main() -> int:
    """Run; the exit status."""
    try:
        config = parse_arguments()
        chosen(config, "")
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure(COMPONENT, level=config.log_level)
    uvloop.run(_main(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
