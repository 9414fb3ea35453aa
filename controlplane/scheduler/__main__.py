"""`python -m controlplane.scheduler`: read the flags, run until SIGTERM or SIGINT."""

import asyncio
import random
import signal
import sys

from controlplane.scheduler.config import SchedulerConfig, parse_arguments
from kvstore.base import log
from kvstore.base.clock import SystemClock
from kvstore.base.tasks import Supervisor


async def _run(config: SchedulerConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.scheduler.app import App

    client = RestClient.from_kubeconfig(config.kubeconfig, config.servers)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor("scheduler-main")
    app = supervisor.start(App(config, client, SystemClock(), random.Random()).run(), "app")
    stopped = supervisor.start(stop.wait(), "stop")
    await asyncio.wait((app, stopped), return_when=asyncio.FIRST_COMPLETED)
    await supervisor.stop(10.0)
    if app.done() and not app.cancelled():
        app.result()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure."""
    config = parse_arguments()
    log.configure("scheduler", level=config.log_level)
    try:
        import uvloop
    except ImportError:  # Not on every platform.
        asyncio.run(_run(config))
    else:
        uvloop.run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
