"""`python -m controlplane.proxy`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.program.options import OptionError
from controlplane.program.run import run, until_signal
from controlplane.proxy.config import ProxyConfig, parse_arguments
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: ProxyConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.proxy.app import App

    agent = "quorate-proxy"
    if config.kubeconfig:
        client = RestClient.from_kubeconfig(config.kubeconfig, config.servers, user_agent=agent)
    else:
        client = RestClient.in_cluster(user_agent=agent)
    await until_signal("proxy", App(config, client, SystemClock(), random.Random()).run())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 on wrong arguments."""
    try:
        config = parse_arguments()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure("proxy", level=config.log_level)
    run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
