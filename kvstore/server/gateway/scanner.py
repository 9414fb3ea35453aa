"""JSON documents out of a body, one after the other, with the complaints of Go's encoding/json.

Clients of etcd's gateway see Go's texts for broken JSON, so they are part of its API (read off etcd 3.5.1's answers).
The standard library reads what is whole and right. Where it finds nothing of that kind, a walk over the text tells what
Go's scanner would: that more must come, or what is wrong and where.

Numbers stay as written (`Number`), for what they become depends on the field that takes them.
"""

import json
import re
from typing import Any

MAX_DEPTH = 10_000
"""Go's bound of nesting; ours is lower where the interpreter's stack is."""

UNEXPECTED_EOF = "unexpected EOF"
UNEXPECTED_END = "unexpected end of JSON input"
TOO_DEEP = "exceeded max depth"

_FIRST_LOOK_BYTES = 4096

_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPES = frozenset(b'"\\/bfnrt')
_LITERALS = {0x74: "true", 0x66: "false", 0x6E: "null"}
_QUOTES = {0x27: "'\\''", 0x22: "'\"'", 0x5C: "'\\\\'"}
_SHORT = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


Number = bytes
"""A number as it was written; in bytes, for no other value is. A class of its own would cost four times as much."""


class JsonError(ValueError):
    """Broken JSON or a value of the wrong kind; the message is Go's."""


class _Incomplete(Exception):
    """The text ends inside a value."""


def _refuse_constant(_: str) -> Any:
    raise ValueError("not JSON")


_decoder = json.JSONDecoder(
    parse_int=str.encode, parse_float=str.encode, parse_constant=_refuse_constant
)


def loads(text: str) -> Any:
    """The one document in `text`. Raises JsonError."""
    data = text.encode("utf-8", "replace")
    value, end = read(data, 0, is_last=True)
    if end is None:
        raise JsonError(UNEXPECTED_END)
    end = skip_space(data, end)
    if end < len(data):
        raise JsonError(f"invalid character {quote(data[end])} after top-level value")
    return value


def read(data: bytes, at: int, *, is_last: bool) -> tuple[Any, int | None]:
    """The document that begins at `at`, and where it ends; (None, None) if more text is needed.

    `is_last` says that no more text can come. Raises JsonError.
    """
    at = skip_space(data, at)
    if at >= len(data):
        return None, None
    if data[at] in b"{[":
        # The walk takes a hundred times as long. A number or word alone may go on, so those are left to it.
        found = _read_whole(data, at)
        if found is not None:
            return found
    try:
        end = _scan(data, at, is_last)
    except _Incomplete:
        return None, None
    try:
        return _decoder.decode(data[at:end].decode("utf-8", "replace")), end
    except RecursionError:
        raise JsonError(TOO_DEEP) from None


def is_short(data: bytes, at: int) -> bool:
    """Whether the document that begins at `at` is whole and right, and ends within a few kilobytes."""
    at = skip_space(data, at)
    return _read_within(data, at, _FIRST_LOOK_BYTES) is not None


def _read_whole(data: bytes, at: int) -> tuple[Any, int] | None:
    """The object or array that begins at `at` if it is there as a whole and without fault, and its end."""
    size = _FIRST_LOOK_BYTES
    # In steps: behind a short document there may be many more, which are not to be looked at for each.
    while True:
        found = _read_within(data, at, size)
        if found is not None or at + size >= len(data):
            return found
        size *= 16


def _read_within(data: bytes, at: int, size: int) -> tuple[Any, int] | None:
    piece = data[at : at + size]
    try:
        text = piece.decode()
    except UnicodeDecodeError as error:
        if error.start + 4 <= len(piece):
            return None
        # Cut in the middle of a character.
        text = piece[: error.start].decode()
    try:
        value, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value, at + (end if text.isascii() else len(text[:end].encode()))


def skip_space(data: bytes, at: int) -> int:
    """The first byte at or after `at` that is not white space."""
    found = _SPACE.match(data, at)
    return found.end() if found else at


def quote(byte: int) -> str:
    """A byte as Go quotes a character."""
    if byte in _QUOTES:
        return _QUOTES[byte]
    if byte in _SHORT:
        return f"'{_SHORT[byte]}'"
    character = chr(byte)
    # Go prints a soft hyphen and no-break space escaped too.
    if not character.isprintable():
        return f"'\\x{byte:02x}'" if byte < 0x20 else f"'\\u{byte:04x}'"
    return f"'{character}'"


def _scan(data: bytes, at: int, is_last: bool) -> int:
    """Where the value at `at` ends. Raises JsonError, _Incomplete."""
    stack: list[int] = []
    while True:
        at = _peek(data, at)
        byte = data[at]
        if byte in b"{[":
            stack.append(byte)
            if len(stack) > MAX_DEPTH:
                raise JsonError(TOO_DEEP)
            inside = _peek(data, at + 1)
            if data[inside] != (0x7D if byte == 0x7B else 0x5D):
                at = _key(data, inside) if byte == 0x7B else inside
                continue
            stack.pop()
            at = inside + 1
        else:
            at = _scalar(data, at, is_last or bool(stack))
        at = _close(data, at, stack)
        if not stack:
            return at


def _close(data: bytes, at: int, stack: list[int]) -> int:
    """After a value: past the brackets that close, to the next value, or to the end if none is open."""
    while stack:
        at = _peek(data, at)
        byte = data[at]
        at += 1
        is_object = stack[-1] == 0x7B
        if byte == (0x7D if is_object else 0x5D):
            stack.pop()
        elif byte != 0x2C:
            where = "after object key:value pair" if is_object else "after array element"
            raise _invalid(byte, where)
        else:
            return _key(data, _peek(data, at)) if is_object else at
    return at


def _peek(data: bytes, at: int) -> int:
    at = skip_space(data, at)
    if at >= len(data):
        raise _Incomplete
    return at


def _invalid(byte: int, where: str) -> JsonError:
    return JsonError(f"invalid character {quote(byte)} {where}")


def _key(data: bytes, at: int) -> int:
    """Past a key and its colon."""
    if data[at] != 0x22:
        raise _invalid(data[at], "looking for beginning of object key string")
    at = _peek(data, _string(data, at + 1))
    if data[at] != 0x3A:
        raise _invalid(data[at], "after object key")
    return at + 1


def _scalar(data: bytes, at: int, may_end: bool) -> int:
    byte = data[at]
    if byte == 0x22:
        return _string(data, at + 1)
    if byte in _LITERALS:
        word = _LITERALS[byte]
        for offset in range(1, len(word)):
            if at + offset >= len(data):
                raise _Incomplete
            if data[at + offset] != ord(word[offset]):
                raise _invalid(
                    data[at + offset], f"in literal {word} (expecting {quote(ord(word[offset]))})"
                )
        return at + len(word)
    if byte == 0x2D or byte in _DIGITS:
        end = _number(data, at)
        if end == len(data) and not may_end:
            raise _Incomplete
        return end
    raise _invalid(byte, "looking for beginning of value")


def _string(data: bytes, at: int) -> int:
    """Past the closing quote; `at` is after the opening one."""
    while True:
        plain = _PLAIN.match(data, at)
        at = plain.end() if plain else at
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        if byte == 0x22:
            return at
        if byte < 0x20:
            raise _invalid(byte, "in string literal")
        if byte != 0x5C:
            continue
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        if byte == 0x75:
            for _ in range(4):
                if at >= len(data):
                    raise _Incomplete
                if data[at] not in _HEX:
                    raise _invalid(data[at], "in \\u hexadecimal character escape")
                at += 1
        elif byte not in _ESCAPES:
            raise _invalid(byte, "in string escape code")
    raise _Incomplete


def _number(data: bytes, at: int) -> int:
    if data[at] == 0x2D:
        at = _digit(data, at + 1, "in numeric literal")
    else:
        at += 1
    if data[at - 1] != 0x30:
        at = _digits(data, at)
    if at < len(data) and data[at] == 0x2E:
        at = _digits(data, _digit(data, at + 1, "after decimal point in numeric literal"))
    if at < len(data) and data[at] in b"eE":
        at += 1
        if at < len(data) and data[at] in b"+-":
            at += 1
        at = _digits(data, _digit(data, at, "in exponent of numeric literal"))
    return at


def _digit(data: bytes, at: int, where: str) -> int:
    if at >= len(data):
        raise _Incomplete
    if data[at] not in _DIGITS:
        raise _invalid(data[at], where)
    return at + 1


def _digits(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in _DIGITS:
        at += 1
    return at
