"""Unknown and duplicate fields of a request body, in the words of upstream's strict decoder.

`fieldValidation=Strict` refuses them, `Warn` tells, `Ignore` is silent; in all three the unknown
fields are then dropped (`prune`), since nothing may be stored that the schema does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from controlplane.api.errors import BadRequest
from controlplane.api.meta import Obj
from controlplane.api.schema.builtin import Schema


def loads(data: bytes) -> tuple[Any, list[str]]:
    """Parse JSON and tell duplicate keys: (value, `duplicate field "x"` problems).

    A duplicate is named by its full path; the last value wins, as everywhere in JSON.
    BadRequest when the body is not JSON.
    """
    problems: list[str] = []
    duplicated: list[tuple[Obj, str]] = []

    def pairs(rows: list[tuple[str, Any]]) -> Obj:
        result: Obj = {}
        for key, value in rows:
            if key in result:
                duplicated.append((result, key))
                # Where it stands again is where it is a problem: `in_order` tells problems in the body's order.
                del result[key]
            result[key] = value
        return result

    try:
        value = json.loads(data, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        problem = decoding_problem(data, error)
        raise BadRequest(f"couldn't get version/kind; json parse error: {problem}") from error
    if duplicated:
        for owner, key in duplicated:
            path = _path_of(value, owner, "")
            if path is not None:
                problems.append(f'duplicate field "{_join(path, key)}"')
    return value, problems


def decoding_problem(body: bytes, error: ValueError | RecursionError) -> str:
    """Why a body is no JSON, in Go's words where they are simple."""
    text = body.strip()
    if not text or (isinstance(error, json.JSONDecodeError) and error.pos >= len(text.decode())):
        return "unexpected end of JSON input"
    if isinstance(error, json.JSONDecodeError):
        if text in (b"{", b"["):
            return "unexpected end of JSON input"
        letter = text.decode(errors="replace")[min(error.pos, len(text) - 1)]
        return f"invalid character '{letter}' looking for beginning of value"
    return "exceeded max depth" if isinstance(error, RecursionError) else str(error)


def json_type(value: Any) -> str:
    """How Go calls the type of a JSON value."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"


def _path_of(value: Any, owner: Obj, path: str) -> str | None:
    if value is owner:
        return path
    if isinstance(value, dict):
        for key, item in value.items():
            found = _path_of(item, owner, _join(path, key))
            if found is not None:
                return found
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found = _path_of(item, owner, f"{path}[{index}]")
            if found is not None:
                return found
    return None


def in_order(problems: Sequence[str], value: Any) -> list[str]:
    """Problems of duplicate and unknown fields as upstream's decoder meets them, which reads a body once."""
    order = {path: index for index, path in enumerate(_paths(value, ""))}
    return sorted(problems, key=lambda problem: order.get(problem.partition('"')[2][:-1], 0))


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            below = _join(path, key)
            yield below
            yield from _paths(item, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, f"{path}[{index}]")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def unknown_fields(obj: Obj, schema: Schema | None) -> list[str]:
    """`unknown field "spec.foo"` for each field the type does not have; empty without a schema."""
    if schema is None:
        return []
    problems: list[str] = []
    _walk(obj, schema, "", problems, drop=False)
    return problems


def prune(obj: Obj, schema: Schema | None) -> list[str]:
    """Drop unknown fields in place; returns the same problems as `unknown_fields`."""
    if schema is None:
        return []
    problems: list[str] = []
    _walk(obj, schema, "", problems, drop=True)
    return problems


def _walk(value: Any, schema: Schema, path: str, problems: list[str], *, drop: bool) -> None:
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            _walk(item, schema.items, f"{path}[{index}]", problems, drop=drop)
        return
    if not isinstance(value, dict) or schema.type != "object":
        return
    for key in list(value):
        child = schema.child(key)
        if child is not None:
            _walk(value[key], child, _join(path, key), problems, drop=drop)
            continue
        problems.append(f'unknown field "{_join(path, key)}"')
        if drop:
            del value[key]


def strict_error(problems: list[str], kind: str = "", api_version: str = "") -> BadRequest:
    """The refusal of `fieldValidation=Strict`."""
    text = "strict decoding error: " + ", ".join(problems)
    if kind:
        version = api_version.rpartition("/")[2]
        text = f'{kind} in version "{version}" cannot be handled as a {kind}: {text}'
    return BadRequest(text)


def type_errors(obj: Obj, schema: Schema | None) -> list[str]:
    """Values of the wrong JSON type, in the form of Go's decoder; the caller answers 400.

    Null stands for "not set" anywhere, as in Go.
    """
    if schema is None:
        return []
    problems: list[str] = []
    _check_types(obj, schema, "", problems)
    return problems


_JSON_NAMES = {
    bool: "bool",
    str: "string",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
_ACCEPTED: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "int-or-string": (int, str),
    "quantity": (int, float, str),
}
_GO_NAMES = {
    "object": "struct",
    "array": "slice",
    "boolean": "bool",
    "number": "float64",
    "integer": "int32",
    "int-or-string": "intstr.IntOrString",
    "quantity": "resource.Quantity",
}


def _check_types(value: Any, schema: Schema, path: str, problems: list[str]) -> None:
    accepted = _ACCEPTED.get(schema.type)
    if value is None or accepted is None:
        return
    is_number_for_bool = isinstance(value, bool) and schema.type != "boolean"
    if not isinstance(value, accepted) or is_number_for_bool:
        go_name = (schema.format if schema.type == "integer" else "") or _GO_NAMES.get(
            schema.type, "string"
        )
        problems.append(
            f"json: cannot unmarshal {_JSON_NAMES[type(value)]} into Go struct field "
            f"{path.lstrip('.')} of type {go_name}"
        )
        return
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            _check_types(item, schema.items, f"{path}[{index}]", problems)
    elif isinstance(value, dict):
        for key, item in value.items():
            child = schema.child(key)
            if child is not None:
                _check_types(item, child, _join(path, key), problems)
