"""Command lines from dataclasses: a field is a flag, once.

    @dataclass(frozen=True, slots=True)
    class NodeOptions:
        node_monitor_grace_period_seconds: float = option(40.0, "how long a node may be silent")

gives `--node-monitor-grace-period=40s`. What a field's type means on the command line:

    str                       text
    bool                      true or false; the bare flag is true, as in Go
    int                       a whole number; the flag keeps the name of the field, units and all
    float, named ..._seconds  a Go duration; the flag leaves the unit out
    float                     a number
    tuple[str, ...]           comma separated; a flag given twice adds to what it said before
    Address or None           HOST:PORT
    Mapping[str, str]         NAME=VALUE, comma separated
    Literal["a", "b"]         one of these
    another such dataclass    its fields, flattened

Flags are upstream's where upstream has them, so that a person's command line for the original means the same here;
`option(flag=...)` gives the name where the field's differs. Everything wrong is said at once, a line each
(`OptionError`). Rules that need several fields together are a method `problems() -> list[str]` of the dataclass.
"""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from kvstore.base.durations import parse_duration

T = TypeVar("T")

_UNIT = "_seconds"


class OptionError(ValueError):
    """All that is wrong with a command line, a line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Address(typing.NamedTuple):
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class _Meaning:
    help: str = ""
    flag: str = ""
    aliases: tuple[str, ...] = ()
    metavar: str = ""
    is_required: bool = False
    parse: Callable[[str], Any] | None = None


_KEY = "option"


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    flag: str = "",
    aliases: tuple[str, ...] = (),
    metavar: str = "",
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of a dataclass of options. Without `default` the flag must be given.

    `flag` and `aliases` are whole names (`--kubeconfig`); `parse` reads the text and raises ValueError on a wrong one.
    """
    is_required = default is dataclasses.MISSING
    meaning = _Meaning(help, flag, aliases, metavar, is_required, parse)
    metadata = {_KEY: meaning}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    if is_required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Parsed:
    """The values of a command line, by the dataclass that declared them."""

    def __init__(self, values: Mapping[type, Any]) -> None:
        self._values = values

    def of(self, cls: type[T]) -> T:
        """The value of one of the classes that were parsed."""
        value: T = self._values[cls]
        return value

    def replaced(self, *values: Any) -> "Parsed":
        """The same with other values of their classes."""
        return Parsed({**self._values, **{type(value): value for value in values}})


def parse_options(
    program: str,
    description: str,
    classes: Sequence[type],
    arguments: Sequence[str] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> Parsed:
    """Read `arguments` (default: the process's own). Raises OptionError; `--help` ends the program.

    `defaults` replace those of fields by name, for what differs from program to program.
    """
    parser = _Parser(prog=program, description=description, allow_abbrev=False)
    fields = [known for cls in classes for known in _leaves(cls)]
    for known in fields:
        known.add_to(parser)
    words = None if arguments is None else [_normal(word) for word in arguments]
    namespace = parser.parse_args(words)
    problems: list[str] = []
    values: dict[tuple[type, str], Any] = {}
    for known in fields:
        known.read(namespace, values, problems, defaults or {})
    if problems:
        raise OptionError(problems)
    made = {cls: _make(cls, values) for cls in classes}
    for value in made.values():
        problems += _problems(value)
    if problems:
        raise OptionError(problems)
    return Parsed(made)


def flags_of(cls: type) -> list[str]:
    """The flags a dataclass of options has, in the order of its fields."""
    return [known.flag for known in _leaves(cls)]


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the program."""

    def error(self, message: str) -> typing.NoReturn:
        raise OptionError([message])


@dataclass(frozen=True, slots=True)
class _Field:
    owner: type
    name: str
    flag: str
    hint: Any
    meaning: _Meaning
    default: Any

    @classmethod
    def of(cls, owner: type, field: "dataclasses.Field[Any]", hint: Any) -> "_Field":
        meaning = field.metadata.get(_KEY, _Meaning())
        bare = field.name.removesuffix(_UNIT) if hint is float else field.name
        flag = meaning.flag or "--" + bare.replace("_", "-")
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        return cls(owner, field.name, flag, hint, meaning, default)

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        extra: dict[str, Any] = {"nargs": "?", "const": "true"} if self.hint is bool else {}
        parser.add_argument(
            self.flag,
            *self.meaning.aliases,
            dest=self.flag,
            action="append",
            metavar=self.meaning.metavar or _metavar(self.name, self.hint),
            help=self._help(),
            **extra,
        )

    def _help(self) -> str:
        text = self.meaning.help.replace("%", "%%")
        if self.default in (dataclasses.MISSING, None, "", ()):
            return text
        shown = str(self.default).lower() if isinstance(self.default, bool) else self.default
        return f"{text} (default {shown})".lstrip().replace("%%", "%").replace("%", "%%")

    def read(
        self,
        namespace: argparse.Namespace,
        values: dict[tuple[type, str], Any],
        problems: list[str],
        defaults: Mapping[str, Any],
    ) -> None:
        given: list[str] | None = getattr(namespace, self.flag)
        if given is None:
            default = defaults.get(self.name, self.default)
            if default is dataclasses.MISSING:
                problems.append(f"{self.flag} is required")
            values[self.owner, self.name] = default
            return
        try:
            values[self.owner, self.name] = self._value(given)
        except ValueError as error:
            problems.append(f"{self.flag}: {error}")

    def _value(self, given: list[str]) -> Any:
        parse = self.meaning.parse or _reader(self.name, self.hint)
        if typing.get_origin(self.hint) is tuple:
            return tuple(item for text in given for item in parse(text))
        if _is_mapping(self.hint):
            return {key: value for text in given for key, value in parse(text).items()}
        return parse(given[-1])


def _leaves(cls: type) -> Iterable[_Field]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _leaves(typing.cast("type", hint))
        else:
            yield _Field.of(cls, field, hint)


def _make(cls: type, values: Mapping[tuple[type, str], Any]) -> Any:
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        nested = dataclasses.is_dataclass(hint)
        found[field.name] = _make(hint, values) if nested else values[cls, field.name]
    return cls(**found)


def _problems(value: Any) -> list[str]:
    found: list[str] = []
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            found += _problems(part)
    check = getattr(value, "problems", None)
    return found + (check() if check is not None else [])


def _normal(word: str) -> str:
    # Go's programs take `--leader_elect` for `--leader-elect`.
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _reader(name: str, hint: Any) -> Callable[[str], Any]:
    if hint is bool:
        return _boolean
    if hint is int:
        return _whole
    if hint is float:
        return parse_duration if name.endswith(_UNIT) else _number
    if typing.get_origin(hint) is Literal:
        return _one_of(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return _listed
    if _is_mapping(hint):
        return parse_pairs
    if Address in _alternatives(hint):
        return parse_address
    if str in _alternatives(hint):
        return str
    raise TypeError(f"no form of {hint!r} on a command line is known ({name})")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _is_mapping(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _metavar(name: str, hint: Any) -> str:
    if hint is float and name.endswith(_UNIT):
        return "DURATION"
    if hint in (int, float):
        return "NUMBER"
    if hint is bool:
        return "true|false"
    if typing.get_origin(hint) is Literal:
        return "|".join(typing.get_args(hint))
    if _is_mapping(hint):
        return "NAME=VALUE,..."
    return "HOST:PORT" if Address in _alternatives(hint) else "TEXT"


def _boolean(text: str) -> bool:
    # What Go's strconv.ParseBool takes.
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return parse


def parse_address(text: str) -> Address:
    """`HOST:PORT`, an empty host meaning all addresses. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host.strip("[]") or "0.0.0.0", int(port))


def parse_pairs(text: str) -> dict[str, str]:
    """`a=1,b=2` as a dict. Raises ValueError."""
    pairs: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{part!r} is not NAME=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs
