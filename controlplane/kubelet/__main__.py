"""`python -m controlplane.kubelet`: read the flags, run until SIGTERM or SIGINT."""

import random
import sys

from controlplane.kubelet.config import KubeletConfig, parse_arguments
from controlplane.program.options import OptionError
from controlplane.program.run import run, until_signal
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: KubeletConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.kubelet.app import App

    client = RestClient.from_kubeconfig(config.kubeconfig, config.servers)
    await until_signal("kubelet", App(config, client, SystemClock(), random.Random()).run())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    try:
        config = parse_arguments()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure("kubelet", level=config.log_level)
    run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
