"""The command line of `quorate kv`: from words to one command, and its exit code."""

import sys
from collections.abc import Sequence

from cli.kv import (
    check,
    endpoints,
    extras,
    keys,
    leases,
    locks,
    members,
    mirror,
    snapshots,
    users,
    watching,
)
from cli.kv.flags import FlagError
from cli.kv.session import GLOBAL_FLAGS, Exit, tell, with_environment, write
from cli.kv.tree import Command, Found, find, help_text, is_help, read, unknown_command


def tree() -> Command:
    """All commands."""
    root = Command("etcdctl", "The store's client, in etcdctl's words", "")
    for module in (
        keys,
        watching,
        leases,
        locks,
        members,
        endpoints,
        users,
        snapshots,
        check,
        mirror,
    ):
        root.children += module.commands()
    root.children += extras.commands(root)
    return root


def run(words: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    root = tree()
    asks_help = bool(words) and words[0] == "help"
    found = find(root, words[1:] if asks_help else words, GLOBAL_FLAGS)
    if asks_help:
        write((help_text(found, GLOBAL_FLAGS) + "\n").encode())
        return 0
    try:
        values = read(found, GLOBAL_FLAGS)
    except FlagError as error:
        if is_help(error):
            write((help_text(found, GLOBAL_FLAGS) + "\n").encode())
            return 0
        # Compat: the error comes twice, and the usage on standard output.
        tell(f"Error: {error}")
        write((help_text(found, GLOBAL_FLAGS) + "\n\n").encode())
        tell(f"Error: {error}")
        return 1
    if found.command.run is None:
        return _without_command(root, found, values.arguments)
    try:
        found.command.run(with_environment(values))
    except Exit as end:
        return end.code
    except KeyboardInterrupt:
        return 130
    return 0


def _without_command(root: Command, found: Found, arguments: Sequence[str]) -> int:
    if found.command is root and arguments:
        message = unknown_command(root, arguments[0])
        tell(f"Error: {message}\nError: {message.splitlines()[0]}")
        return 1
    write((help_text(found, GLOBAL_FLAGS) + "\n").encode())
    return 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
