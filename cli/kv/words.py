"""The small languages of `kv`: ids, ranges, operations with their flags, quoted words, conditions.

    mod("key") > "0"          a condition: version, create, mod, value or lease; also their short forms
    put key "a value"         an operation: put, get or del with the flags of the commands

Source: etcdctl's commands of the same names; the messages are those scripts look for.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from cli.kv.flags import Flag, FlagError, Values, go_int, parse
from cli.kv.session import (
    EXIT_BAD_ARGUMENTS,
    EXIT_BAD_FEATURE,
    EXIT_INVALID_INPUT,
    fail,
    tell,
)
from kvstore.client.ops import prefix_end
from kvstore.client.types import Compare, Op, OpDelete, OpGet, OpPut, SortOrder, SortTarget

T = TypeVar("T")

PREFIX = Flag("prefix", help="all keys that begin with the key")
FROM_KEY = Flag("from-key", help="all keys from the key on, in the order of bytes")
PREV_KV = Flag("prev-kv", help="also show what was there before")
GET_FLAGS: tuple[Flag, ...] = (
    Flag("consistency", "string", "l", "l: linearizable, s: serializable"),
    Flag("count-only", help="only how many keys there are"),
    FROM_KEY,
    Flag("keys-only", help="no values"),
    Flag("limit", "int", 0, "at most so many keys"),
    Flag("order", "string", "", "ASCEND or DESCEND"),
    PREFIX,
    Flag("print-value-only", help="only values, in the simple form"),
    Flag("rev", "int", 0, "as of this revision"),
    Flag("sort-by", "string", "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
)
PUT_FLAGS: tuple[Flag, ...] = (
    Flag("ignore-lease", help="keep the lease of the key"),
    Flag("ignore-value", help="keep the value of the key"),
    Flag("lease", "string", "0", "lease (hexadecimal) the key hangs on"),
    PREV_KV,
)
DELETE_FLAGS: tuple[Flag, ...] = (FROM_KEY, PREFIX, PREV_KV)

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
_SORT_TARGETS = {
    "": SortTarget.KEY,
    "KEY": SortTarget.KEY,
    "CREATE": SortTarget.CREATE,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
    "VERSION": SortTarget.VERSION,
}
_SORT_ORDERS = {"": SortOrder.NONE, "ASCEND": SortOrder.ASCEND, "DESCEND": SortOrder.DESCEND}
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|' r"'[^']*'|" r"""[^'"\s]\S*[^'"\s]?""")
_QUOTED = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')
_ESCAPE = re.compile(
    rb"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[abfnrtv\\'\"])"
)
_ESCAPES = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


def unquoted(text: str) -> bytes:
    """The bytes of a word in double quotes or backquotes, with Go's escapes."""
    body = os.fsencode(text[1:-1])
    if text.startswith("`"):
        return body

    def one(match: re.Match[bytes]) -> bytes:
        found = match.group(1)
        if found in _ESCAPES:
            return _ESCAPES[found]
        if found[:1] == b"x":
            return bytes([int(found[1:], 16)])
        if found[:1] in b"uU":
            return chr(int(found[1:], 16)).encode()
        return bytes([int(found, 8) & 0xFF]) if len(found) == 3 else found

    return _ESCAPE.sub(one, body)


def split_words(line: str) -> list[str]:
    """The words of a line, as a shell would see them in the simple cases."""
    words = []
    for word in _WORD.findall(line):
        if word.startswith("'"):
            word = word[1:-1] if len(word) > 1 and word.endswith("'") else word
        elif word.startswith('"'):
            word = os.fsdecode(unquoted(word))
        words.append(word)
    return words


def parse_lease(text: str, *, what: str = "bad lease ID arg") -> int:
    """A lease in hexadecimal; ends the program for anything else."""
    try:
        return go_int(text, base=16)
    except ValueError as error:
        fail(f"{what} ({error}), expecting ID in Hex", EXIT_BAD_ARGUMENTS)


def key_range(arguments: list[str], values: Values) -> tuple[bytes, bytes]:
    """Key and range_end of `<key> [range_end]` with --prefix and --from-key."""
    if values["prefix"] and values["from-key"]:
        fail(
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
            EXIT_BAD_ARGUMENTS,
        )
    key = os.fsencode(arguments[0])
    if len(arguments) > 1:
        if values["prefix"] or values["from-key"]:
            fail(
                "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
                EXIT_BAD_ARGUMENTS,
            )
        return key, os.fsencode(arguments[1])
    if not (values["prefix"] or values["from-key"]):
        return key, b""
    if not key:
        return b"\0", b"\0"
    return key, prefix_end(key) if values["prefix"] else b"\0"


def get_operation(values: Values) -> OpGet:
    """The range that `get` asks for."""
    arguments = values.arguments
    if not arguments:
        fail(
            "get command needs one argument as key and an optional argument as range_end",
            EXIT_BAD_ARGUMENTS,
        )
    if (
        values["keys-only"]
        and values["count-only"]
        and not (values["prefix"] and values["from-key"])
    ):
        fail(
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
            EXIT_BAD_ARGUMENTS,
        )
    consistency = values["consistency"]
    if not (values["prefix"] and values["from-key"]) and consistency not in ("l", "s"):
        fail(f'unknown consistency flag "{consistency}"', EXIT_BAD_FEATURE)
    key, end = key_range(arguments, values)
    order, target = values["order"].upper(), values["sort-by"].upper()
    if order not in _SORT_ORDERS:
        fail(f"bad sort order {values['order']}", EXIT_BAD_FEATURE)
    if target not in _SORT_TARGETS:
        fail(f"bad sort target {values['sort-by']}", EXIT_BAD_FEATURE)
    return OpGet(
        key,
        end,
        limit=values["limit"],
        revision=max(values["rev"], 0),
        keys_only=values["keys-only"],
        count_only=values["count-only"],
        serializable=consistency == "s",
        sort_order=_SORT_ORDERS[order],
        sort_target=_SORT_TARGETS[target],
    )


def put_operation(values: Values) -> OpPut:
    """The put that `put` asks for; a value that is not an argument comes from standard input."""
    arguments = values.arguments
    needs = "put command needs 1 argument and input from stdin or 2 arguments"
    if not arguments:
        fail(needs, EXIT_BAD_ARGUMENTS)
    if values["ignore-value"] and len(arguments) > 1:
        fail("put command needs only 1 argument when 'ignore-value' is set", EXIT_BAD_ARGUMENTS)
    value = b""
    if not values["ignore-value"]:
        value = os.fsencode(arguments[1]) if len(arguments) > 1 else sys.stdin.buffer.read()
        if not value and len(arguments) == 1:
            fail(needs, EXIT_BAD_ARGUMENTS)
    lease = parse_lease(values["lease"], what="bad lease ID")
    return OpPut(
        os.fsencode(arguments[0]),
        value,
        lease,
        values["prev-kv"],
        values["ignore-value"],
        values["ignore-lease"],
    )


def delete_operation(values: Values) -> OpDelete:
    """The deletion that `del` asks for."""
    if not 1 <= len(values.arguments) <= 2:
        fail(
            "del command needs one argument as key and an optional argument as range_end",
            EXIT_BAD_ARGUMENTS,
        )
    return OpDelete(*key_range(values.arguments, values), values["prev-kv"])


class LineError(ValueError):
    """A line of a transaction that cannot be read."""


def parse_compare(line: str) -> Compare:
    """One condition: target("key") operator "operand"; LineError."""
    target, parenthesis, rest = line.partition("(")
    if not parenthesis:
        raise LineError(f"malformed comparison: {line}")
    key = operator = operand = ""
    quoted = _QUOTED.match(rest)
    if quoted is not None:
        key, rest = quoted.group(1), rest[quoted.end() :]
        sign = re.match(r"\)[ \t]+(\S+)", rest)
        if sign is not None:
            operator, rest = sign.group(1), rest[sign.end() :]
            last = _QUOTED.match(rest)
            operand = last.group(1) if last is not None and rest[:1].isspace() else ""
    if not operand or operator not in ("=", "!=", "<", ">"):
        raise LineError(
            f"malformed comparison: {line}; got {target}({key or _NOTHING}) {operator} {operand or _NOTHING}"
        )
    if target not in _TARGETS:
        raise LineError(f"malformed comparison: {line} (unknown target {target})")
    subject, text = _TARGETS[target], unquoted(operand)
    if subject == "value":
        return Compare(unquoted(key), subject, operator, text)
    try:
        number = go_int(text.decode(errors="replace"), base=16 if subject == "lease" else 10)
    except ValueError:
        raise LineError(f"invalid txn compare request: {line}") from None
    return Compare(unquoted(key), subject, operator, number)


_NOTHING = '""'


def parse_operation(line: str) -> Op:
    """One operation of a transaction; LineError, or the end of the program for flags that contradict."""
    words = split_words(line)
    if len(words) < 2:
        raise LineError(f"invalid txn compare request: {line}")
    flags = {"put": PUT_FLAGS, "get": GET_FLAGS, "del": DELETE_FLAGS}.get(words[0])
    if flags is None:
        raise LineError(f"invalid txn request: {line}")
    try:
        values = parse(words[1:], flags)
    except FlagError as error:
        tell(str(error))
        raise LineError(f"invalid txn request: {line}") from None
    match words[0]:
        case "put":
            return put_operation(values)
        case "get":
            return get_operation(values)
        case _:
            return delete_operation(values)


def section(lines: Iterable[str], parse_line: Callable[[str], T]) -> list[T]:
    """What `parse_line` makes of the lines up to the next empty one; input that ends before is refused.

    Each is read as it comes, so that a bad one is named rather than the end that follows it.
    """
    taken: list[T] = []
    for line in lines:
        if not line.strip():
            return taken
        taken.append(parse_line(line.strip()))
    fail("EOF", EXIT_INVALID_INPUT)
