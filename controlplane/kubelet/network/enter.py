"""`python -m controlplane.kubelet.network.enter ROOT COMMAND...`: run a command in the network of a node.

ROOT is the node's folder. The command is root of the node's user namespace, which is nobody in particular outside of
it, and sees the node's links and pods; files are the machine's. It ends with the node, whatever becomes of the one who
started it, and with that one. For proxies, for looking around, and for tests.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

from controlplane.kubelet import syscalls
from controlplane.kubelet.runtimes.namespaces.connection import namespaces_of
from controlplane.kubelet.runtimes.namespaces.users import join

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command; its exit code, or 1 when it could not be run."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m controlplane.kubelet.network.enter ROOT COMMAND...\n")
        return 2
    root, *command = arguments
    try:
        held = namespaces_of(Path(root))
        join(held["user"])
        syscalls.setns(held["net"], syscalls.CLONE_NEWNET)
        # Of a process space only children become part: so there are two processes.
        syscalls.setns(held["pid"], syscalls.CLONE_NEWPID)
        child = os.fork()
        if child == 0:
            syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.execvp(command[0], command)
    except OSError as problem:
        sys.stderr.write(f"cannot enter the node of {root}: {problem}\n")
        return 1

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
