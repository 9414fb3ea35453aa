"""The program `python -m controlplane.controllers`: flags, log, event loop, signals."""

import random
import sys
from collections.abc import Coroutine
from typing import Any

from controlplane.controllers.app import COMPONENT, run
from controlplane.controllers.config import parse_arguments
from controlplane.program.leading import LeadingConfig
from controlplane.program.options import Parsed
from controlplane.program.run import entry
from kvstore.base.clock import SystemClock


def _work(options: Parsed) -> Coroutine[Any, Any, None]:
    return run(options, SystemClock(), random.Random())


def main() -> int:
    """Exit code 0 after a signal, 1 after a failure, 2 for a wrong command line."""
    return entry(
        COMPONENT, parse_arguments, lambda options: options.of(LeadingConfig).log_level, _work
    )


if __name__ == "__main__":
    sys.exit(main())
