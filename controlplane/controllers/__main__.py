"""The program `python -m controlplane.controllers`: flags, log, event loop, signals."""

import random
import sys

from controlplane.controllers.app import COMPONENT, run
from controlplane.controllers.catalog import chosen
from controlplane.controllers.config import ConfigError, ControllersConfig, parse_arguments
from controlplane.program.run import run as run_program
from controlplane.program.run import until_signal
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(config: ControllersConfig) -> None:
    await until_signal(COMPONENT, run(config, SystemClock(), random.Random()))


def main() -> int:
    """Run; the exit status."""
    try:
        config = parse_arguments()
        chosen(config, "")
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure(COMPONENT, level=config.leading.log_level)
    run_program(_run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
