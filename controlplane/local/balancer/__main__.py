"""`python -m controlplane.local.balancer`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.local.balancer.config import BalancerConfig, parse_arguments
from controlplane.program.run import entry
from kvstore.base.clock import SystemClock


async def _work(config: BalancerConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.local.balancer.app import App

    client = RestClient.configured(config.kubeconfig, config.servers, user_agent="quorate-balancer")
    await App(config, client, SystemClock(), random.Random()).run()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry("balancer", parse_arguments, lambda config: config.log_level, _work)


if __name__ == "__main__":
    sys.exit(main())
