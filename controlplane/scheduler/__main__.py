"""`python -m controlplane.scheduler`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.program.options import OptionError
from controlplane.program.run import run, until_signal
from controlplane.scheduler.config import SchedulerConfig, parse_arguments
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: SchedulerConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.scheduler.app import App

    client = RestClient.from_kubeconfig(config.leading.kubeconfig, config.leading.servers)
    app = App(config, client, SystemClock(), random.Random(), config.configuration())
    await until_signal("scheduler", app.run())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 on wrong arguments."""
    try:
        config = parse_arguments()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure("scheduler", level=config.leading.log_level)
    run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
