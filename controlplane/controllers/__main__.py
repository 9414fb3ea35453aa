"""The program `python -m controlplane.controllers`: flags, log, event loop, signals."""

import random
import sys

from controlplane.controllers.app import COMPONENT, run
from controlplane.controllers.config import parse_arguments
from controlplane.program.leading import LeadingConfig
from controlplane.program.options import OptionError, Parsed
from controlplane.program.run import run as run_program
from controlplane.program.run import until_signal
from kvstore.base import log
from kvstore.base.clock import SystemClock


async def _run(options: Parsed) -> None:
    await until_signal(COMPONENT, run(options, SystemClock(), random.Random()))


def main() -> int:
    """Run; the exit status."""
    try:
        options = parse_arguments()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.configure(COMPONENT, level=options.of(LeadingConfig).log_level)
    run_program(_run(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
