"""Paths to a field in the simple form `.a.b` or `.a['b.c']`, and the schema of what they name.

Source: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (ValidFieldPath).
"""

from __future__ import annotations

import re

from controlplane.api.schema.structural.node import Node

_STEP = re.compile(
    r"""\.([A-Za-z_][A-Za-z0-9_-]*)|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]"""
)


def steps(text: str) -> list[str] | None:
    """The names along a path; None when it is not of this form."""
    found: list[str] = []
    end = 0
    while end < len(text):
        match = _STEP.match(text, end)
        if match is None:
            return None
        plain, single, double = match.groups()
        found.append(
            plain if plain is not None else re.sub(r"\\(.)", r"\1", single or double or "")
        )
        end = match.end()
    return found or None


def find(node: Node, text: str, *, takes_brackets: bool = False) -> Node | None:
    """The schema of the field that the path names; None when there is none, or the path is malformed."""
    if "[" in text and not takes_brackets:
        return None
    names = steps(text)
    if names is None:
        return None
    found: Node | None = node
    for name in names:
        if found is None:
            return None
        found = found.child(name)
    return found
