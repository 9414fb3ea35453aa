"""`python -m controlplane.proxy`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.program.run import entry
from controlplane.proxy.config import ProxyConfig, parse_arguments
from kvstore.base.clock import SystemClock


async def _work(config: ProxyConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.proxy.app import App

    client = RestClient.configured(config.kubeconfig, config.servers, user_agent="quorate-proxy")
    await App(config, client, SystemClock(), random.Random()).run()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry("proxy", parse_arguments, lambda config: config.log_level, _work)


if __name__ == "__main__":
    sys.exit(main())
