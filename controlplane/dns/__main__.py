"""`python -m controlplane.dns`: read the flags, run until SIGTERM or SIGINT."""

import sys

from controlplane.dns.config import DnsConfig, parse_arguments
from controlplane.program.options import OptionError
from controlplane.program.run import run, until_signal
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: DnsConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.dns.app import App

    agent = "quorate-dns"
    if config.kubeconfig:
        client = RestClient.from_kubeconfig(config.kubeconfig, user_agent=agent)
    else:
        client = RestClient.in_cluster(user_agent=agent)
    await until_signal("dns", App(config, client, SystemClock()).run())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 on wrong arguments."""
    try:
        config = parse_arguments()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure("dns", level=config.log_level)
    run(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
