"""`python -m controlplane.kubelet.network.enter ROOT COMMAND...`: run a command in the network of a node.

ROOT is the node's folder. The command is root of the node's user namespace, which is nobody in particular outside of
it, and sees the node's links and pods; files are the machine's. For proxies, for looking around, and for tests.
"""

import os
import sys
from pathlib import Path

from controlplane.kubelet import syscalls
from controlplane.kubelet.runtimes.namespaces.connection import namespaces_of
from controlplane.kubelet.runtimes.namespaces.users import join


def main(arguments: list[str]) -> int:
    """Become the command; returns only when that cannot be."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m controlplane.kubelet.network.enter ROOT COMMAND...\n")
        return 2
    root, *command = arguments
    try:
        held = namespaces_of(Path(root))
        join(held["user"])
        syscalls.setns(held["net"], syscalls.CLONE_NEWNET)
        os.execvp(command[0], command)
    except OSError as problem:
        sys.stderr.write(f"cannot enter the node of {root}: {problem}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
