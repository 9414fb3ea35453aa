"""What Go's encoding/json says of bytes that are no JSON object; some refusals quote it."""

from __future__ import annotations

import json

_AFTER = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
_TYPES = ((bool, "bool"), (str, "string"), (int, "number"), (float, "number"), (list, "array"))


def object_problem(data: bytes) -> str:
    """Why the bytes are no JSON object; empty when they are one (null counts as one)."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return _invalid(chr(data[error.start]), _AFTER["Expecting value"])
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            return "unexpected end of JSON input"
        said = error.msg.partition(":")[0] if error.msg.startswith("Invalid \\") else error.msg
        return _invalid(text[error.pos], _AFTER.get(said, _AFTER["Expecting value"]))
    if value is None or isinstance(value, dict):
        return ""
    kind = next(name for python_type, name in _TYPES if isinstance(value, python_type))
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


def _invalid(character: str, context: str) -> str:
    return f"invalid character {_quoted(character)} {context}"


def _quoted(character: str) -> str:
    """A character as Go's %q shows it."""
    escapes = {"\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'", "'": r"'\''", '"': "'\"'"}
    return escapes.get(character, f"'{character}'")
