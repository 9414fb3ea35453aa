"""Commands and versions in words: decoded without types, named by those this version knows."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kvstore.machine import commands
from kvstore.machine.snapshot import Head
from kvstore.mvcc.kv import KeyValue

_SECRETS = frozenset(("secret", "password", "prefix"))
"""Never shown: what gives a person or a member rights."""
_CONTENTS = frozenset(("value",))
"""What users keep: shown as its size, unless asked for."""


def _known() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Names and fields of commands by their tags."""
    known: dict[str, tuple[str, tuple[str, ...]]] = {}
    for one in (*typing.get_args(commands.Plain), commands.Range, commands.Signed):
        known[str(one.__struct_config__.tag)] = (one.__name__, one.__struct_fields__)
    return known


KNOWN = _known()
COMPARE_FIELDS = commands.Compare.__struct_fields__
KV_FIELDS = KeyValue.__struct_fields__
HEAD_FIELDS = Head.__struct_fields__


@dataclass(frozen=True, slots=True)
class Wording:
    """How much is shown."""

    values: bool = False
    """Values whole, not only their sizes. Passwords and secrets never are."""

    def command(self, data: bytes) -> dict[str, Any]:
        """A command as name and fields; what cannot be decoded says so under "undecodable"."""
        try:
            plain = msgspec.msgpack.decode(data)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            return {"command": "?", "undecodable": str(error), "bytes": len(data)}
        return self.operation(plain)

    def operation(self, plain: Any) -> dict[str, Any]:
        """A decoded command, or one within another."""
        if not isinstance(plain, list) or not plain or not isinstance(plain[0], str):
            return {"command": "?", "fields": self._plain(plain)}
        tag, *fields = plain
        name, names = KNOWN.get(tag, (f"unknown {tag!r}", ()))
        if name == "Signed" and fields:
            inner = self.operation(fields[0])
            return inner | {"by": self.named(names[1:], fields[1:])}
        if name == "Txn":
            return {"command": name} | self._txn(fields)
        return {"command": name} | self.named(names, fields)

    def _txn(self, fields: Sequence[Any]) -> dict[str, Any]:
        parts: list[Any] = [*fields, (), (), ()][:3]
        return {
            "compares": [self.named(COMPARE_FIELDS, one) for one in parts[0]],
            "success": [self.operation(one) for one in parts[1]],
            "failure": [self.operation(one) for one in parts[2]],
        }

    def named(self, names: Sequence[str], fields: Any) -> dict[str, Any]:
        """Fields by their names; those of later versions by their places."""
        if not isinstance(fields, list | tuple):
            return {"?": self._plain(fields)}
        found: dict[str, Any] = {}
        for place, field in enumerate(fields):
            name = names[place] if place < len(names) else f"field {place}"
            found[name] = self._field(name, field)
        return found

    def _field(self, name: str, field: Any) -> Any:
        if name in _SECRETS:
            return "hidden"
        if name in _CONTENTS and isinstance(field, bytes) and not self.values:
            return f"{len(field)} bytes"
        return self._plain(field)

    def _plain(self, field: Any) -> Any:
        if isinstance(field, bytes):
            return text(field)
        if isinstance(field, list | tuple):
            return [self._plain(one) for one in field]
        if isinstance(field, dict):
            return {str(key): self._plain(one) for key, one in field.items()}
        return field


def text(data: bytes) -> str:
    """Bytes as text where they are, else with escapes that tell every byte."""
    return data.decode("utf-8") if _is_readable(data) else repr(data)[2:-1]


def _is_readable(data: bytes) -> bool:
    try:
        return data.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def line(fields: Mapping[str, Any]) -> str:
    """Fields in one line, empty ones left out."""
    return " ".join(
        f"{name}={_short(field)}"
        for name, field in fields.items()
        if field not in (b"", "", 0, False, [], None)
    )


def _short(field: Any) -> str:
    if isinstance(field, str):
        return field if field.isalnum() else f'"{field}"'
    if isinstance(field, dict):
        return "{" + line(field) + "}"
    if isinstance(field, list):
        return "[" + ", ".join(_short(one) for one in field) + "]"
    return str(field)
