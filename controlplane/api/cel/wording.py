"""Refusals of the checker in the words that upstream's library (cel-go) has for them."""

from __future__ import annotations

import re

_STRUCT = re.compile(r"(undefined field '[^']*') not found in struct '[^']*'")
_AT_END = "ERROR: <input>:1:{}: Syntax error: mismatched input '<EOF>'"
_UNDECLARED = re.compile(
    r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): undeclared reference to '(?P<name>[\w.]+)'"
    r" \(in container ''\)\n \| (?P<text>[^\n]*)\n \| \.*\^"
)


def as_upstream(text: str) -> str:
    """The text of a failed compilation: an unknown name is told where it begins, and without its fields."""
    # The end of nothing has no column.
    text = text.replace(_AT_END.format(1), _AT_END.format(0))
    return _UNDECLARED.sub(_unknown, _STRUCT.sub(r"\1", text))


def _unknown(match: re.Match[str]) -> str:
    name, text = match["name"], match["text"]
    root, _, fields = name.partition(".")
    if not fields:
        return match[0]
    start = int(match["column"]) - 1 - len(name.rpartition(".")[0])
    if start < 0 or not text.startswith(root, start):
        return match[0]
    return (
        f"ERROR: <input>:{match['line']}:{start + 1}: undeclared reference to '{root}' (in container '')\n"
        f" | {text}\n | {'.' * start}^"
    )
