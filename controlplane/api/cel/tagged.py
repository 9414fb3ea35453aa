"""Values of types that CEL itself lacks, as maps: `{"@quantity": "3/2"}`.

The text is a normal form, so that CEL's own `==` of two maps is the equality of the type.
"""

from collections.abc import Mapping
from typing import Any

QUANTITY, IP, CIDR, URL, SEMVER, FORMAT, OPTIONAL = (
    "@quantity",
    "@ip",
    "@cidr",
    "@url",
    "@semver",
    "@format",
    "@optional",
)


class FunctionError(ValueError):
    """A call whose arguments the function cannot take; the rule fails with this text."""


def make(tag: str, content: Any) -> dict[str, Any]:
    """A value of the type `tag`."""
    return {tag: content}


def tag_of(value: Any) -> str:
    """The type of a tagged value; empty for everything else."""
    if isinstance(value, Mapping) and len(value) == 1:
        key = next(iter(value))
        if isinstance(key, str) and key.startswith("@"):
            return key
    return ""


def content(value: Any, tag: str, function: str) -> Any:
    """What the tagged value holds; FunctionError when it is of another type."""
    if tag_of(value) != tag:
        raise FunctionError(f"no such overload: {function}")
    return value[tag]
