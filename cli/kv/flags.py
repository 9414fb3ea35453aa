"""Flags as Go programs take them: `--name value`, `--name=value`, `-n value`, anywhere among the arguments.

A switch takes its value only after `=`. `--` ends the flags. Messages are those a script may have learned to look for.
Source: behaviour of spf13/pflag, which etcdctl parses with.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvstore.base.durations import parse_duration

_INT = re.compile(r"[+-]?[0-9]+(_[0-9]+)*|[+-]?0[xX][0-9a-fA-F]+|[+-]?0[oO]?[0-7]+|[+-]?0[bB][01]+")
_INT64_MAX = 2**63 - 1


class FlagError(Exception):
    """A command line that cannot be read; the message says why."""


def go_int(text: str, *, base: int = 10, bits: int = 64, signed: bool = True) -> int:
    """A number as Go's strconv reads it; ValueError in its words."""
    name = "ParseInt" if signed else "ParseUint"
    digits = "0123456789abcdef"[:base]
    body = text[1:] if signed and text[:1] in ("+", "-") else text
    if not body or any(one not in digits for one in body.lower()):
        raise ValueError(f'strconv.{name}: parsing "{text}": invalid syntax')
    number = int(text, base)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if not low <= number <= high:
        raise ValueError(f'strconv.{name}: parsing "{text}": value out of range')
    return number


def _any_int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text, 0) if not re.fullmatch(r"[+-]?0[0-7]+", text) else int(text, 8)
    if abs(number) > _INT64_MAX:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def _bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _duration(text: str) -> float:
    # A bare number, which our own settings take as seconds, is no duration in Go; but zero is.
    if text != "0" and (not text or text[-1].isdigit() or text[-1] == "."):
        raise ValueError(_bad_duration(text))
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(_bad_duration(text)) from None


def _bad_duration(text: str) -> str:
    missing = text.lstrip("+-").replace(".", "", 1).isdigit()
    return f'time: {"missing unit in" if missing else "invalid"} duration "{text}"'


_READERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "strings": lambda text: text.split(",") if text else [],
    "int": _any_int,
    "bool": _bool,
    "duration": _duration,
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `kind` is a key of the readers above; `default` is the text help shows."""

    name: str
    kind: str = "bool"
    default: Any = False
    help: str = ""
    short: str = ""

    @property
    def is_switch(self) -> bool:
        """True if it needs no value."""
        return self.kind == "bool"

    def read(self, text: str) -> Any:
        """The value `text` stands for; FlagError."""
        try:
            return _READERS[self.kind](text)
        except ValueError as error:
            shown = f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"
            raise FlagError(f'invalid argument "{text}" for "{shown}" flag: {error}') from None

    def usage(self) -> str:
        """Its line of help, with a tab between the flag and the words."""
        match self.kind:
            case "string":
                value = f'"{self.default}"'
            case "strings":
                value = f"[{','.join(self.default)}]"
            case "duration":
                value = f"{self.default:g}s"
            case "bool":
                value = "true" if self.default else "false"
            case _:
                value = str(self.default)
        shown = f"[={value}]" if self.is_switch else f"={value}"
        lead = f"-{self.short}, " if self.short else "    "
        return f"  {lead}--{self.name}{shown}\t{self.help}"


@dataclass(slots=True)
class Values:
    """What was given: values by flag name, whether a flag was given at all, and the arguments left."""

    values: dict[str, Any]
    given: set[str] = field(default_factory=set)
    arguments: list[str] = field(default_factory=list)
    # How many arguments stood before `--`; None without one.
    before_dashes: int | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def parse(arguments: Sequence[str], flags: Sequence[Flag]) -> Values:
    """Read `arguments`; FlagError for what no flag explains."""
    names = {flag.name: flag for flag in flags}
    shorts = {flag.short: flag for flag in flags if flag.short}
    found = Values({flag.name: flag.default for flag in flags})
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            found.before_dashes = len(found.arguments)
            found.arguments += words
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not name or name.startswith(("-", "=")):
                raise FlagError(f"bad flag syntax: {word}")
            if name not in names:
                raise FlagError("help requested" if name == "help" else f"unknown flag: --{name}")
            flag = names[name]
            if not equals and flag.is_switch:
                value = "true"
            elif not equals:
                if not words:
                    raise FlagError(f"flag needs an argument: --{name}")
                value = words.pop(0)
            _set(found, flag, value)
        elif word.startswith("-") and len(word) > 1:
            _short(found, word, words, shorts)
        else:
            found.arguments.append(word)
    return found


def _short(found: Values, word: str, words: list[str], shorts: dict[str, Flag]) -> None:
    """A cluster of one-letter flags: `-iw json`, `-wjson`, `-w=json`."""
    letters = word[1:]
    while letters:
        letter, rest = letters[0], letters[1:]
        if letter not in shorts:
            if letter == "h":
                raise FlagError("help requested")
            raise FlagError(f"unknown shorthand flag: '{letter}' in -{letters}")
        flag = shorts[letter]
        if rest.startswith("="):
            _set(found, flag, rest[1:])
            return
        if flag.is_switch:
            _set(found, flag, "true")
            letters = rest
            continue
        if not rest and not words:
            raise FlagError(f"flag needs an argument: '{letter}' in {word}")
        _set(found, flag, rest or words.pop(0))
        return


def _set(found: Values, flag: Flag, text: str) -> None:
    value = flag.read(text)
    if flag.kind == "strings" and flag.name in found.given:
        value = [*found.values[flag.name], *value]
    found.values[flag.name] = value
    found.given.add(flag.name)
