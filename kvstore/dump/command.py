"""The two commands: options, filters, and lines or JSON on standard output.

Exit codes: 0 all that was read is whole (what a crash left at the log's end included), 1 something is damaged or cannot
be read, 2 the command line cannot be read.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kvstore.dump import journal, snapshot
from kvstore.dump.words import Wording, line

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2
NAMES = ("dump-log", "dump-snapshot")
_ENTRY_TYPES = ("segment", "entry", "truncate", "reset", "torn", "damaged")
_RECORD_TYPES = ("head", "base", "version", "tail", "other", "damaged")


def run(words: Sequence[str]) -> int:
    """`words` are the command's name and arguments; the exit code."""
    name, *arguments = words
    parser = _log_parser() if name == "dump-log" else _snapshot_parser()
    try:
        options = parser.parse_args(arguments)
    except _Refused as refusal:
        sys.stderr.write(f"{parser.format_usage()}kvstore {name}: {refusal}\n")
        return EXIT_USAGE
    except SystemExit:
        # --help was asked for, and answered.
        return EXIT_OK
    show = _json if options.json else _plain
    is_damaged = False
    try:
        for fields, damage in _dump_log(options) if name == "dump-log" else _dump_snapshot(options):
            is_damaged = is_damaged or damage
            if fields is not None:
                sys.stdout.write(show(fields) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # As `| head` does: nobody reads on.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return EXIT_OK
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        sys.stderr.write(f"kvstore {name}: {error.strerror}{place}\n")
        return EXIT_FAILURE
    return EXIT_FAILURE if is_damaged else EXIT_OK


Shown = tuple[dict[str, Any] | None, bool]
"""Fields of a row that is asked for, or None; whether it tells of damage."""


def _dump_log(options: argparse.Namespace) -> Iterator[Shown]:
    paths = [path for place in options.paths for path in journal.segments_of(Path(place))]
    wording = Wording(values=options.values)
    kinds, commands = _wanted(options.entry_type)
    left = options.limit or -1
    for row in journal.rows(paths, wording):
        is_damage = row.kind == "damaged"
        if not is_damage and not _is_wanted(row, options, kinds, commands):
            continue
        if left == 0 and not is_damage:
            # Damage is told of wherever it stands.
            continue
        left -= not is_damage
        fields: dict[str, Any] = {"file": str(row.path), "offset": row.offset, "kind": row.kind}
        if row.kind not in ("damaged", "torn"):
            fields |= {"index": row.index, "term": row.term, "group": row.group}
        fields |= dict(row.details)
        shown = [one for one in row.commands if not commands or one["command"].lower() in commands]
        if shown:
            fields["commands"] = shown
        yield fields, is_damage


def _is_wanted(
    row: journal.Row, options: argparse.Namespace, kinds: set[str], commands: set[str]
) -> bool:
    if row.kind in ("entry", "truncate", "reset"):
        if row.index < options.start_index:
            return False
        if options.end_index and row.index >= options.end_index:
            return False
    if not kinds and not commands:
        return True
    return row.kind in kinds or any(one["command"].lower() in commands for one in row.commands)


def _wanted(text: str) -> tuple[set[str], set[str]]:
    """Kinds of records, and names of commands, out of one list."""
    words = {word.strip().lower() for word in text.split(",") if word.strip()}
    kinds = words & set(_ENTRY_TYPES)
    return kinds, words - kinds


def _dump_snapshot(options: argparse.Namespace) -> Iterator[Shown]:
    path = snapshot.file_of(Path(options.path))
    wanted = {word.strip().lower() for word in options.entry_type.split(",") if word.strip()}
    left = options.limit or -1
    for row in snapshot.rows(path, Wording(values=options.values)):
        is_damage = row.kind == "damaged"
        if not is_damage:
            is_version = row.kind in ("base", "version")
            is_out = row.revision < options.start_revision or (
                options.end_revision and row.revision >= options.end_revision
            )
            if (wanted and row.kind not in wanted) or (is_version and is_out) or left == 0:
                continue
            left -= 1
        yield (
            {"file": str(row.path), "offset": row.offset, "kind": row.kind} | dict(row.fields),
            is_damage,
        )


def _plain(fields: dict[str, Any]) -> str:
    """A line, and one more for each command."""
    rest = dict(fields)
    place = f"{rest.pop('file')}@{rest.pop('offset')}"
    kind, commands = rest.pop("kind"), rest.pop("commands", [])
    if kind in ("damaged", "torn"):
        problem = rest.pop("problem", "")
        return f"{kind.upper()} {place}: {problem} {line(rest)}".rstrip()
    lines = [f"{place} {kind} {line(rest)}".rstrip()]
    for command in commands:
        name = command["command"]
        lines.append(f"    {name} " + line({k: v for k, v in command.items() if k != "command"}))
    return "\n".join(lines)


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False)


class _Refused(Exception):
    """The command line cannot be read."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Refused(message)


def _parser(name: str, about: str) -> _Parser:
    parser = _Parser(f"kvstore {name}", description=about, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="one JSON object a record")
    parser.add_argument(
        "--values", action="store_true", help="show values whole, not only their sizes"
    )
    parser.add_argument(
        "--limit", type=_count("--limit"), default=0, help="no more records than that; 0: all"
    )
    return parser


def _log_parser() -> _Parser:
    parser = _parser("dump-log", "Show the records of a member's log.")
    parser.add_argument(
        "--start-index", type=_count("--start-index"), default=0, help="entries from this index on"
    )
    parser.add_argument(
        "--end-index", type=_count("--end-index"), default=0, help="entries below this index"
    )
    parser.add_argument(
        "--entry-type",
        default="",
        help=f"only these, by commas: {', '.join(_ENTRY_TYPES)}, or commands: Put, Txn, LeaseGrant, …",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a data directory, its log folder, or segments"
    )
    return parser


def _snapshot_parser() -> _Parser:
    parser = _parser("dump-snapshot", "Show the records of a member's snapshot.")
    parser.add_argument(
        "--start-revision",
        type=_count("--start-revision"),
        default=0,
        help="versions written at this revision or later",
    )
    parser.add_argument(
        "--end-revision",
        type=_count("--end-revision"),
        default=0,
        help="versions written before this revision",
    )
    parser.add_argument(
        "--entry-type", default="", help=f"only these, by commas: {', '.join(_RECORD_TYPES)}"
    )
    parser.add_argument("path", metavar="PATH", help="a data directory, its folder, or a file")
    return parser


def _count(option: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal():
            raise argparse.ArgumentTypeError(f"{option} {text}: expected a number")
        return int(text)

    return parse
