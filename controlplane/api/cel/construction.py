"""Objects built by expressions: `Object{spec: Object.spec{replicas: 1}}` and `JSONPatch{op: "remove", path: "/a"}`.

Their types have any fields, which the checker cannot be told; so for evaluation each becomes a map that carries the
name of its type, and `built` makes plain data of the result. Names of types must be those of the fields' paths.

Source: k8s.io/apiserver/pkg/cel/mutation (dynamic/objects.go, typeresolver.go).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

_TYPE = "@type"
# Rewritten expressions kept; a cluster has some dozens of mutations.
_MAX_EXPRESSIONS = 512
_TOKEN = re.compile(
    r"""
    (?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}))
    |(?P<word>[rRbB]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<comment>//[^\n]*)
    |(?P<built>(?<![\w.])(?:Object(?:\s*\.\s*[A-Za-z_]\w*)*|JSONPatch)\s*\{)
    |(?P<open>[\[({])
    |(?P<close>[\])}])
    |(?P<comma>,)
    """,
    re.VERBOSE | re.DOTALL,
)
_FIELD = re.compile(r"(?:\s|//[^\n]*\n)*(\??)\s*([A-Za-z_]\w*)\s*:")


class ConstructionError(ValueError):
    """What was built does not fit together."""


@lru_cache(maxsize=_MAX_EXPRESSIONS)
def as_maps(expression: str) -> str:
    """The expression with maps in place of built objects."""
    made: list[str] = []
    place = 0
    # Whether the brackets that are open are those of a built object, the innermost last.
    frames: list[bool] = []

    def fields() -> None:
        nonlocal place
        found = _FIELD.match(expression, place)
        if found is not None:
            made.append(f" {found[1]}{json.dumps(found[2])}:")
            place = found.end()

    while (token := _TOKEN.search(expression, place)) is not None:
        made.append(expression[place : token.start()])
        place = token.end()
        kind, text = token.lastgroup, token[0]
        if kind == "built":
            name = re.sub(r"\s", "", text[:-1])
            is_empty = re.match(r"\s*\}", expression[place:]) is not None
            made.append(f'{{"{_TYPE}": dyn({json.dumps(name)})' + ("" if is_empty else ","))
            frames.append(True)
            fields()
            continue
        made.append(text)
        if kind == "open":
            frames.append(False)
        elif kind == "close" and frames:
            frames.pop()
        elif kind == "comma" and frames and frames[-1]:
            fields()
    made.append(expression[place:])
    return "".join(made)


def built(value: Any) -> Any:
    """Plain data of what an expression has built. ConstructionError for types that are not where they belong."""
    if isinstance(value, dict) and _TYPE in value and value[_TYPE] != "JSONPatch":
        return _plain(value, str(value[_TYPE]))
    if isinstance(value, dict):
        return {key: built(item) for key, item in value.items() if key != _TYPE}
    if isinstance(value, list):
        return [built(item) for item in value]
    return value


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_plain(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get(_TYPE)
    if name is None:
        # Maps between objects have no name of their own.
        return {key: _plain(item, path) for key, item in value.items()}
    if name != path:
        raise ConstructionError(
            f"unexpected type name {json.dumps(name)}, expected {json.dumps(path)}, which matches "
            "field name path from root Object type"
        )
    return {key: _plain(item, f"{path}.{key}") for key, item in value.items() if key != _TYPE}
