"""`python -m controlplane.dns`: read the flags, run until SIGTERM or SIGINT."""

import sys

from controlplane.dns.config import DnsConfig, parse_arguments
from controlplane.program.run import entry
from kvstore.base.clock import SystemClock


async def _work(config: DnsConfig) -> None:
    from controlplane.client.rest import RestClient
    from controlplane.dns.app import App

    client = RestClient.configured(config.kubeconfig, user_agent="quorate-dns")
    await App(config, client, SystemClock()).run()


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry("dns", parse_arguments, lambda config: config.log_level, _work)


if __name__ == "__main__":
    sys.exit(main())
