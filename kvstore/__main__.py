"""The program `kvstore`: one member of the store, started with etcd's flags, and the tools that read its files.

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 refused settings or a failure while starting or running, 2 a command line
that cannot be read. They are etcd's, but for 0: a stopped etcd ends by the signal itself.
"""

import gc
import os
import platform
import sys
from collections.abc import Sequence

from kvstore.config.flags import help_text, parse

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a member until a signal; the exit code."""
    if argv is None:
        # A tenth of the start is structlog loading rich for tracebacks that nobody sees here: lines are JSON.
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
        # Importing makes much and drops little; `program` lets the collector work once the member is up.
        gc.disable()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ("dump-log", "dump-snapshot"):
        from kvstore.dump.command import run as dump

        return dump(words)
    flags = parse(words, os.environ)
    # Heavy imports wait until they are needed: `--version` is asked for by programs that want an answer at once.
    if not flags.usage and flags.boolean("help"):
        sys.stdout.write(help_text())
        return EXIT_OK
    if not flags.usage and flags.boolean("version"):
        sys.stdout.write(_version())
        return EXIT_OK
    from kvstore.base import zap_log
    from kvstore.config.reader import ConfigError, from_flags

    try:
        config = from_flags(flags)
    except ConfigError as error:
        if error.is_usage:
            # Compat: the words of Go's flag package, which launchers show to their users.
            sys.stderr.write("\n".join(error.problems) + "\n" + _USAGE)
            return EXIT_USAGE
        for problem in error.problems:
            sys.stderr.write(zap_log.line("warn", "failed to verify flags", error=problem) + "\n")
        return EXIT_FAILURE
    from kvstore.program import run

    return run(config)


_USAGE = """Usage:

  kvstore [flags]
    Start a member of the store.

  kvstore dump-log [--start-index N] [--entry-type TYPES] PATH...
    Show the records of a member's log.

  kvstore dump-snapshot [--start-revision N] [--entry-type TYPES] PATH
    Show the records of a member's snapshot.

  kvstore -h | --help
    Show all flags.
"""


def _version() -> str:
    """Compat: harnesses read `etcd Version:` off the first line."""
    from importlib import metadata

    from kvstore.version import VERSION

    try:
        own = metadata.version("quorate")
    except metadata.PackageNotFoundError:
        own = "unknown"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return (
        f"etcd Version: {VERSION}\n"
        f"Git SHA: quorate-{own}\n"
        f"Go Version: none (Python {platform.python_version()})\n"
        f"Go OS/Arch: {sys.platform}/{machine}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
