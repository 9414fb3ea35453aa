"""`python -m controlplane.kubelet`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.kubelet.config import AgentConfig, parse_arguments
from controlplane.program.run import run, until_signal
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: AgentConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.kubelet.app import App

    client = RestClient.from_kubeconfig(config.kubeconfig, config.servers)
    await until_signal("agent", App(config, client, SystemClock(), random.Random()).run())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure."""
    config = parse_arguments()
    log.configure("agent", level=config.log_level)
    run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
