"""`python -m controlplane.scheduler`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.program.run import entry
from controlplane.scheduler.config import SchedulerConfig, parse_arguments
from kvstore.base.clock import SystemClock


async def _work(config: SchedulerConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.scheduler.app import App

    client = RestClient.from_kubeconfig(config.leading.kubeconfig, config.leading.servers)
    app = App(config, client, SystemClock(), random.Random(), config.configuration())
    await app.run()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry("scheduler", parse_arguments, lambda config: config.leading.log_level, _work)


if __name__ == "__main__":
    sys.exit(main())
