"""etcd's command line as Go's flag package reads it: `--flag value`, `--flag=value`, one dash or two.

Each flag can also come from the environment (`--data-dir` is `ETCD_DATA_DIR`), or all from a file: `--config-file` in
etcd's YAML form or as TOML, and then, as in etcd, nothing else counts. The command line wins over the environment (etcd
refuses to start if both are given). A flag of etcd's that means nothing here is accepted and named in a warning, so
that what launches etcd can launch this. What Go's parser refuses is in `usage`, in its words and with exit code 2; all
else is in `problems`, with exit code 1 as in etcd.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvstore.base.durations import parse_duration
from kvstore.config.flag_table import ALIASES, FLAGS, FlagSpec

IGNORED = frozenset(name for name, spec in FLAGS.items() if not spec.has_effect)
"""Flags of etcd's that change nothing here: warned about, then left alone."""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SCHEME = re.compile(r"^(https?|unixs?)://")
_SECURITY_TABLES = {"client-transport-security": "", "peer-transport-security": "peer-"}
# Keys of a security table whose flags are not simply `peer-` and the key.
_SECURITY_KEYS = {
    ("", "client-cert-file"): "client-cert-file",
    ("", "client-key-file"): "client-key-file",
    ("", "allowed-hostname"): "client-cert-allowed-hostname",
    ("", "crl-file"): "client-crl-file",
    ("peer-", "allowed-cn"): "peer-cert-allowed-cn",
    ("peer-", "allowed-hostname"): "peer-cert-allowed-hostname",
}

_ONLY_AS_WORDS = ("version", "help")
"""Flags that ask for something else than a member; as variables they are for others."""


@dataclass(slots=True)
class Flags:
    """Raw values with defaults filled in, and what was wrong or odd on the way."""

    values: dict[str, str]
    given: set[str] = field(default_factory=set)
    usage: list[str] = field(default_factory=list)
    """What Go's parser of the command line would refuse."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def boolean(self, name: str) -> bool:
        """A flag's truth; anything that is not a boolean was refused when it was read."""
        return self.values[name] in _TRUE


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Flags:
    """Read the command line, then what else the environment says, or only the file that either names."""
    flags = Flags({name: spec.default for name, spec in FLAGS.items()})
    _take_words(flags, argv)
    _take_environment(flags, environ)
    path = flags.values["config-file"]
    if not path or flags.usage or flags.boolean("help") or flags.boolean("version"):
        return flags
    others = flags.given - {"config-file"}
    from_file = Flags({name: spec.default for name, spec in FLAGS.items()})
    from_file.values["config-file"] = path
    if others:
        from_file.warnings.append(
            f"loaded server configuration from {path}; other configuration command line flags and environment "
            f"variables are ignored: {', '.join(sorted(others))}"
        )
    _take_file(from_file, Path(path))
    return from_file


def _take_words(flags: Flags, argv: Sequence[str]) -> None:
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if not word.startswith("-") or word == "-":
            flags.problems.append(f"'{word}' is not a valid flag")
            return
        if word == "--":
            continue
        name, has_value, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            flags.usage.append(f"bad flag syntax: {word}")
            return
        name = "help" if name == "h" else name
        spec = spec_of(name)
        if spec is None:
            flags.usage.append(f"flag provided but not defined: -{name}")
            return
        if not has_value:
            if spec.is_boolean:
                value = "true"
            elif position < len(argv):
                value = argv[position]
                position += 1
            else:
                flags.usage.append(f"flag needs an argument: -{name}")
                return
        wrong = mistake(spec, value)
        if wrong:
            kind = "boolean value" if spec.is_boolean else "value"
            on = f"for -{name}" if spec.is_boolean else f"for flag -{name}"
            flags.usage.append(f'invalid {kind} "{value}" {on}: {wrong}')
            return
        _take(flags, name, spec, value)


def _take_environment(flags: Flags, environ: Mapping[str, str]) -> None:
    for variable, value in sorted(environ.items()):
        if not variable.startswith("ETCD_") or not value:
            continue
        name = variable.removeprefix("ETCD_").lower().replace("_", "-")
        spec = spec_of(name)
        if spec is None:
            flags.warnings.append(f"unrecognized environment variable {variable}")
        elif spec.name in _ONLY_AS_WORDS:
            # Compat: images set ETCD_VERSION for their own scripts, and etcd does not start by it.
            flags.warnings.append(f"environment variable {variable} is ignored")
        elif spec.name in flags.given:
            flags.warnings.append(
                f"environment variable {variable} is shadowed by the command-line flag --{spec.name}"
            )
        elif wrong := mistake(spec, value):
            text = f'invalid value "{value}" for {variable}: {wrong}'
            if spec.has_effect:
                flags.problems.append(text)
            else:
                flags.warnings.append(f"{text}; it has no meaning here and is ignored")
        else:
            _take(flags, name, spec, value)


def _take_file(flags: Flags, path: Path) -> None:
    try:
        text = path.read_text()
    except OSError as error:
        flags.problems.append(f"open {path}: {(error.strerror or str(error)).lower()}")
        return
    except ValueError as error:
        flags.problems.append(f"{path}: {error}")
        return
    try:
        entries = _read_toml(text) if path.suffix == ".toml" else _read_yaml(text)
    except ValueError as error:
        flags.problems.append(f"{path}: {error}")
        return
    for key, value in entries.items():
        prefix = _SECURITY_TABLES.get(str(key))
        if prefix is None:
            _take_entry(flags, path, str(key), str(key), value)
        elif isinstance(value, Mapping):
            for inner, inner_value in value.items():
                name = _SECURITY_KEYS.get((prefix, str(inner)), f"{prefix}{inner}")
                _take_entry(flags, path, f"{key}.{inner}", name, inner_value)
        elif value is not None:
            flags.problems.append(f"{path}: {key} must be a table")


def _take_entry(flags: Flags, path: Path, key: str, name: str, value: Any) -> None:
    spec = spec_of(name)
    if spec is None:
        flags.warnings.append(f"{path}: {key} is not known and is ignored")
        return
    if value is None:
        return
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, list):
        text = ",".join(str(one) for one in value)
    elif isinstance(value, str | int | float):
        text = str(value)
    else:
        flags.problems.append(f"{path}: {key} has the wrong type")
        return
    if not text and spec.kind != "s":
        return
    if wrong := mistake(spec, text):
        flags.problems.append(f'{path}: invalid value "{text}" for {key}: {wrong}')
        return
    _take(flags, name, spec, text)


def _read_yaml(text: str) -> dict[str, Any]:
    import yaml

    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"error converting YAML to JSON: {error}") from error
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise ValueError("it must hold keys and values")
    return entries


def _read_toml(text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from error


def spec_of(name: str) -> FlagSpec | None:
    """The flag of that name, or of that newer name."""
    return FLAGS.get(name) or FLAGS.get(ALIASES.get(name, ""))


def _take(flags: Flags, name: str, spec: FlagSpec, value: str) -> None:
    flags.values[spec.name] = value
    flags.given.add(spec.name)
    if spec.is_fixed and value != spec.default:
        flags.problems.append(f"--{name} is not supported: {spec.text}")
    elif not spec.has_effect:
        flags.warnings.append(f"--{name} has no meaning here and is ignored: {spec.text}")


def mistake(spec: FlagSpec, value: str) -> str:
    """Why `value` is none for the flag, in the words of Go's parser; empty if it is."""
    match spec.kind:
        case "b":
            return "" if value in _TRUE | _FALSE else "parse error"
        case "i" | "u":
            try:
                number = int(value.replace("_", ""), 0)
            except ValueError:
                return "parse error"
            return "parse error" if number < 0 and spec.kind == "u" else ""
        case "d":
            try:
                parse_duration(value)
            except ValueError:
                return "parse error"
            return ""
        case "l":
            return _url_mistake(value) if value else ""
        case "choice":
            return "" if value in spec.choices else "invalid value"
    return ""


def _url_mistake(value: str) -> str:
    for url in value.split(","):
        wrong = url_problem(url.strip())
        if wrong:
            return wrong
    return ""


def url_problem(url: str) -> str:
    """Why `url` is no address of a member, in etcd's words; empty if it is one."""
    from urllib.parse import urlsplit

    if not _SCHEME.match(url):
        return f"URL scheme must be http, https, unix, or unixs: {url}"
    parts = urlsplit(url)
    if parts.scheme.startswith("unix"):
        return "" if parts.netloc + parts.path else f"URL names no socket: {url}"
    try:
        has_port = parts.port is not None
    except ValueError:
        has_port = False
    if not has_port:
        return f'URL address does not have the form "host:port": {url}'
    if parts.path not in ("", "/"):
        return f"URL must not contain a path: {url}"
    return ""


def help_text() -> str:
    """All flags in groups, with defaults."""
    lines = [
        "Usage:",
        "",
        "  kvstore [flags]",
        "    Start a member of a store that speaks etcd's API, with etcd's flags.",
        "",
        "  kvstore --version",
        "    Show the version.",
        "",
        "  kvstore -h | --help",
        "    Show this.",
        "",
        "Each flag can be given as a variable too: --data-dir is ETCD_DATA_DIR. Those marked with * are accepted",
        "and change nothing.",
    ]
    group = ""
    for spec in FLAGS.values():
        if spec.group != group:
            group = spec.group
            lines += ["", f"{group}:"]
        mark = "" if spec.has_effect else " *"
        lines += [f"  --{spec.name} '{spec.default}'{mark}", f"    {spec.text}"]
    return "\n".join(lines) + os.linesep
