"""The tree of commands: finding the one that is meant, its help, and what a wrong line is answered with.

Source: behaviour of spf13/cobra with etcdctl's templates - a group without a command prints its help and succeeds, an
unknown command at the top fails with 1, a wrong flag prints the error, the usage, and the error again.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cli.kv.flags import Flag, FlagError, Values, parse

PROGRAM = "quorate kv"
"""How people call it; in errors it is called what scripts look for (the root's name)."""

VERSION = "3.5.1"
API_VERSION = "3.5"


@dataclass(slots=True)
class Command:
    """A command, or a group of commands; `run` gets the values and returns nothing, or raises `session.Exit`."""

    name: str
    help: str
    usage: str = ""
    run: Callable[[Values], None] | None = None
    flags: tuple[Flag, ...] = ()
    children: list["Command"] = field(default_factory=list)
    aliases: tuple[str, ...] = ()

    def child(self, name: str) -> "Command | None":
        """The command below with this name, or the only one whose name begins so."""
        for one in self.children:
            if name == one.name or name in one.aliases:
                return one
        close = [one for one in self.children if one.name.startswith(name)]
        return close[0] if len(close) == 1 and name else None


@dataclass(frozen=True, slots=True)
class Found:
    """Where a command line leads: the path of commands, and the words left."""

    path: tuple[Command, ...]
    words: tuple[str, ...]

    @property
    def command(self) -> Command:
        """The one that is meant."""
        return self.path[-1]

    @property
    def line(self) -> str:
        """The path in words."""
        return " ".join(one.name for one in self.path)


def find(root: Command, words: Sequence[str], global_flags: Sequence[Flag]) -> Found:
    """The command `words` mean; global flags may stand before it and between its parts."""
    path, rest = [root], list(words)
    while path[-1].children:
        position = _first_argument(rest, global_flags)
        if position is None:
            break
        below = path[-1].child(rest[position])
        if below is None:
            break
        del rest[position]
        path.append(below)
    return Found(tuple(path), tuple(rest))


def _first_argument(words: Sequence[str], flags: Sequence[Flag]) -> int | None:
    """The first word that is neither a flag nor a flag's value."""
    names = {flag.name: flag for flag in flags}
    shorts = {flag.short: flag for flag in flags if flag.short}
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
            continue
        if word == "--":
            return None
        if word.startswith("--"):
            flag = names.get(word[2:])
            # Like the original, an unknown flag is taken for one with a value.
            skip = "=" not in word and not (flag and flag.is_switch) and word != "--help"
        elif word.startswith("-") and len(word) > 1:
            short = shorts.get(word[1])
            skip = len(word) == 2 and not (short and short.is_switch) and word != "-h"
        else:
            return index
    return None


def read(found: Found, global_flags: Sequence[Flag]) -> Values:
    """The values of a command's line; FlagError."""
    return parse(found.words, (*found.command.flags, *global_flags))


def unknown_command(root: Command, word: str) -> str:
    """What is said about a command that does not exist, with names that are close to it."""
    lines = [f'unknown command "{word}" for "{root.name}"']
    names = [one.name for one in root.children]
    close = [n for n in names if n.startswith(word.lower())] or difflib.get_close_matches(
        word, names, n=3, cutoff=0.7
    )
    if close:
        lines += ["", "Did you mean this?", *(f"\t{name}" for name in close), ""]
    lines.append(f"Run '{root.name} --help' for usage.")
    return "\n".join(lines)


def help_text(found: Found, global_flags: Sequence[Flag]) -> str:
    """The help of a command: name, usage, commands below, options."""
    command, root = found.command, found.path[0]
    is_root = command is root
    below = found.line.removeprefix(root.name).strip()
    usage = f"{PROGRAM} {below} {command.usage}".replace("  ", " ").strip()
    parts = ["NAME:", f"\t{below or PROGRAM} - {command.help}", "", "USAGE:"]
    parts += [f"\t{usage} [flags]", ""]
    if is_root:
        parts += ["VERSION:", f"\t{VERSION}", ""]
    if is_root or command.children:
        parts += ["API VERSION:", f"\t{API_VERSION}", "", "", "COMMANDS:"]
        parts += [*_aligned(_leaves(command)), ""]
    help_flag = Flag("help", help=f"help for {command.name}", short="h")
    own = [*command.flags, *(global_flags if is_root else ()), help_flag]
    parts += ["OPTIONS:", *_options(own), ""]
    if not is_root:
        parts += ["GLOBAL OPTIONS:", *_options(global_flags), ""]
    return "\n".join(parts)


def _leaves(command: Command, prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for one in sorted(command.children, key=lambda child: child.name):
        name = f"{prefix}{one.name}"
        rows += _leaves(one, f"{name} ") if one.children else [(name, one.help)]
    return rows


def _aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"\t{name.ljust(width)}  {text}" for name, text in rows]


def _options(flags: Sequence[Flag]) -> list[str]:
    rows = [tuple(one.usage().split("\t", 1)) for one in sorted(flags, key=lambda f: f.name)]
    width = max((len(row[0]) for row in rows), default=0)
    return [f"{row[0].ljust(width)}  {row[1]}" for row in rows]


def is_help(error: FlagError) -> bool:
    """True if the line asks for help."""
    return str(error) == "help requested"
