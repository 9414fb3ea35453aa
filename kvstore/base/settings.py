"""TOML files into typed, frozen structs - with every mistake reported at once.

A settings type is a `msgspec.Struct` whose fields are leaves (anything msgspec can convert, with `Meta` bounds), other
structs, lists of structs or `dict[str, struct]`. `load` walks the file beside the type, so that one reading names all
unknown keys, wrong types and values out of bounds, each with its dotted path, the value and what was expected.
"""

import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where (dotted path), what stands there, what was expected."""

    path: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path} = {self.value}: {self.expected}"


class SettingsError(Exception):
    """A file that cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(f"{source}: {count}\n{lines}")
        self.source = source
        self.problems = problems


def load(path: Path, kind: type[T]) -> T:
    """Read `path` as `kind`. Raises SettingsError: missing file, not TOML, or any number of mistakes in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            str(path), [Problem("(file)", "-", error.strerror or str(error))]
        ) from error
    return parse(text, kind, source=str(path))


def parse(text: str, kind: type[T], *, source: str) -> T:
    """As `load`, from text; `source` names it in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(source, [Problem("(file)", "-", f"not valid TOML: {error}")]) from error
    problems: list[Problem] = []
    value = _struct(data, kind, "", problems)
    if problems:
        raise SettingsError(source, problems)
    return typing.cast("T", value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _struct(
    data: dict[str, Any], kind: type[msgspec.Struct], path: str, problems: list[Problem]
) -> msgspec.Struct | None:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    before = len(problems)
    for name, raw in data.items():
        if name not in fields:
            known = ", ".join(sorted(fields))
            problems.append(
                Problem(path + name, _show(raw), f"unknown key; expected one of {known}")
            )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _value(data[name], hints[name], path + name, problems)
        elif field.required:
            problems.append(Problem(path + name, "(missing)", "this key is required"))
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:  # relations between fields, checked in __post_init__
        problems.append(Problem(path.rstrip(".") or "(file)", "-", str(error)))
        return None


def _value(raw: Any, hint: Any, path: str, problems: list[Problem]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if not isinstance(raw, dict):
            problems.append(Problem(path, _show(raw), "expected a table"))
            return None
        return _struct(raw, hint, path + ".", problems)
    if origin is dict and isinstance(args[1], type) and issubclass(args[1], msgspec.Struct):
        if not isinstance(raw, dict):
            problems.append(Problem(path, _show(raw), "expected a table of tables"))
            return None
        return {key: _value(item, args[1], f"{path}.{key}", problems) for key, item in raw.items()}
    if (
        origin in (tuple, list)
        and isinstance(args[0], type)
        and issubclass(args[0], msgspec.Struct)
    ):
        if not isinstance(raw, list):
            problems.append(Problem(path, _show(raw), f"expected tables written as [[{path}]]"))
            return None
        items = [_value(item, args[0], f"{path}[{at}]", problems) for at, item in enumerate(raw)]
        return tuple(items) if origin is tuple else items
    try:
        return msgspec.convert(raw, hint, strict=True)
    except msgspec.ValidationError as error:
        problems.append(Problem(path, _show(raw), _readable(str(error), hint)))
        return None


def _readable(message: str, hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        hint = " or ".join(str(part) for part in typing.get_args(hint))
    return message[:1].lower() + message[1:]
