"""`python -m controlplane.kubelet`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.kubelet.config import KubeletConfig, parse_arguments
from controlplane.program.run import entry
from kvstore.base.clock import SystemClock


async def _work(config: KubeletConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.kubelet.app import App

    client = RestClient.from_kubeconfig(config.kubeconfig, config.servers)
    await App(config, client, SystemClock(), random.Random()).run()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry("kubelet", parse_arguments, lambda config: config.log_level, _work)


if __name__ == "__main__":
    sys.exit(main())
