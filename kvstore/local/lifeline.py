"""Children that do not outlive who started them.

    python -I -S lifeline.py PARENT_PID COMMAND…

ties this process to the one that started it and becomes COMMAND. It is a program and no function called between fork
and exec, because a fork runs what libraries registered for forks: gRPC's hooks start its threads in the child, which
then meet closed files and abort.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_EXIT_CANNOT_EXECUTE = 127


def die_with_parent() -> None:
    """SIGKILL this process when its parent ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def tied(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs `argv` tied to the process that starts it; just `argv` where that cannot be."""
    if sys.platform != "linux":
        return tuple(argv)
    return (sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *argv)


def main(arguments: Sequence[str]) -> int:
    """Become the command; the exit code if that fails."""
    parent, *command = arguments
    die_with_parent()
    if os.getppid() != int(parent):
        # It ended before.
        return 0
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _EXIT_CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
