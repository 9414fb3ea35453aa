"""The small languages of `kv`: lease ids, sort words, and the lines of a transaction.

    mod("key") > "0"          a condition: version, create, mod, value or lease; also their short forms
    put key "a value"         an operation: put, get or del with the flags of the commands

Conditions, operations on success and operations on failure follow each other, separated by an empty line.
Source: etcdctl's txn command; its grammar in short in `etcdctl txn --help`.
"""

import argparse
import os
import re
import shlex
from collections.abc import Iterable
from typing import NoReturn

from kvstore.client.client import prefix_end
from kvstore.client.types import Compare, Op, OpDelete, OpGet, OpPut, SortOrder, SortTarget

_TARGETS = {
    "ver": "version",
    "version": "version",
    "c": "create",
    "create": "create",
    "m": "mod",
    "mod": "mod",
    "val": "value",
    "value": "value",
    "lease": "lease",
}
_CONDITION = re.compile(r"\s*(\w+)\(\s*(.+?)\s*\)\s*(!=|=|<|>)\s*(.+?)\s*$")
_SORT_TARGETS = {
    "": SortTarget.KEY,
    "KEY": SortTarget.KEY,
    "CREATE": SortTarget.CREATE,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
    "VERSION": SortTarget.VERSION,
}
_SORT_ORDERS = {"": SortOrder.NONE, "ASCEND": SortOrder.ASCEND, "DESCEND": SortOrder.DESCEND}


class WordError(ValueError):
    """A word that is none of those known; etcdctl calls that a missing feature."""


def parse_id(text: str, what: str) -> int:
    """A hexadecimal id; ValueError says what it was for."""
    try:
        return int(text, 16)
    except ValueError:
        raise ValueError(f"bad {what} ID arg ({text!r}), expecting ID in Hex") from None


def sort_words(order: str, target: str) -> tuple[SortOrder, SortTarget]:
    """What --order and --sort-by mean."""
    if target.upper() not in _SORT_TARGETS:
        raise WordError(f"bad sort target {target}")
    if order.upper() not in _SORT_ORDERS:
        raise WordError(f"bad sort order {order}")
    return _SORT_ORDERS[order.upper()], _SORT_TARGETS[target.upper()]


def key_range(
    key: bytes, range_end: bytes, *, is_prefix: bool, is_from_key: bool
) -> tuple[bytes, bytes]:
    """Key and range_end as the flags want them."""
    if is_prefix and is_from_key:
        raise ValueError("`--prefix` and `--from-key` cannot be set at the same time, choose one")
    if not (is_prefix or is_from_key):
        return key, range_end
    if range_end:
        raise ValueError(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"
        )
    if not key:
        return b"\0", b"\0"
    return key, prefix_end(key) if is_prefix else b"\0"


def parse_compare(line: str) -> Compare:
    """One condition."""
    match = _CONDITION.match(line)
    if match is None:
        raise ValueError(f"malformed comparison: {line}")
    word, key, operator, operand = match.groups()
    if word not in _TARGETS:
        raise ValueError(f"malformed comparison: {line} (unknown target {word})")
    target, text = _TARGETS[word], _unquoted(operand)
    if target == "value":
        return Compare(_unquoted(key), target, operator, text)
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"invalid txn compare request: {line} (a number is expected)") from None
    return Compare(_unquoted(key), target, operator, number)


def _unquoted(text: str) -> bytes:
    words = shlex.split(text)
    return os.fsencode(words[0] if words else "")


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        """Raise ValueError."""
        raise ValueError(f"invalid txn request: {self.prog}: {message}")


def _parser(command: str) -> _Parser:
    parser = _Parser(prog=command, add_help=False, allow_abbrev=False)
    parser.add_argument("key", type=os.fsencode)
    if command == "put":
        parser.add_argument("value", type=os.fsencode)
        parser.add_argument("--lease", default="0")
        parser.add_argument("--prev-kv", action="store_true")
        parser.add_argument("--ignore-value", action="store_true")
        parser.add_argument("--ignore-lease", action="store_true")
        return parser
    parser.add_argument("range_end", nargs="?", default=b"", type=os.fsencode)
    parser.add_argument("--prefix", action="store_true")
    parser.add_argument("--from-key", action="store_true")
    if command == "del":
        parser.add_argument("--prev-kv", action="store_true")
        return parser
    parser.add_argument("--rev", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--order", default="")
    parser.add_argument("--sort-by", default="")
    parser.add_argument("--keys-only", action="store_true")
    parser.add_argument("--count-only", action="store_true")
    parser.add_argument("--consistency", choices=("l", "s"), default="l")
    return parser


def parse_operation(line: str) -> Op:
    """One operation of a transaction."""
    words = shlex.split(line)
    if not words or words[0] not in ("put", "get", "del"):
        raise ValueError(f"invalid txn request: {line}: expected put, get or del")
    found = _parser(words[0]).parse_args(words[1:])
    if words[0] == "put":
        lease = parse_id(found.lease, "lease")
        return OpPut(
            found.key, found.value, lease, found.prev_kv, found.ignore_value, found.ignore_lease
        )
    key, end = key_range(
        found.key, found.range_end, is_prefix=found.prefix, is_from_key=found.from_key
    )
    if words[0] == "del":
        return OpDelete(key, end, found.prev_kv)
    order, target = sort_words(found.order, found.sort_by)
    return OpGet(
        key,
        end,
        limit=found.limit,
        revision=found.rev,
        keys_only=found.keys_only,
        count_only=found.count_only,
        serializable=found.consistency == "s",
        sort_order=order,
        sort_target=target,
    )


def section(lines: Iterable[str]) -> list[str]:
    """Lines up to the next empty one, or the end."""
    taken: list[str] = []
    for line in lines:
        if not line.strip():
            break
        taken.append(line.rstrip("\n"))
    return taken
