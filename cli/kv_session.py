"""What the `kv` commands share: global options, where the cluster is, one client per command, errors as exit codes.

Global options may stand anywhere in the line, as with etcdctl, and switches may be written `--prefix=true`: `KvGroup`
puts both into the form the parser wants. Exit codes are etcdctl's: 0 done, 1 failed, 3 a transaction that cannot be
read, 4 no such form of output, 5 a watch the server ended, 128 wrong arguments; and 130 after Ctrl-C.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from cli.output import Printer, UnsupportedOutputError
from cli.output_data import PRINTERS
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls

T = TypeVar("T")

EXIT_ERROR = 1
EXIT_INVALID_INPUT = 3
EXIT_BAD_FEATURE = 4
EXIT_WATCH_ENDED = 5
EXIT_BAD_ARGUMENTS = 128
EXIT_INTERRUPTED = 130

_DEFAULT_ENDPOINT = "http://127.0.0.1:2379"
_GLOBAL_VALUES = frozenset(
    (
        "--endpoints",
        "--cacert",
        "--cert",
        "--key",
        "--write-out",
        "-w",
        "--command-timeout",
        "--dial-timeout",
    )
)
_GLOBAL_SWITCHES = frozenset(("--hex",))
_SWITCHES = _GLOBAL_SWITCHES | {
    "--prefix",
    "--from-key",
    "--keys-only",
    "--count-only",
    "--print-value-only",
    "--prev-kv",
    "--ignore-value",
    "--ignore-lease",
    "--keys",
    "--once",
    "--cluster",
    "--physical",
    "--progress-notify",
    "--interactive",
}


class KvGroup(TyperGroup):
    """A command group whose options may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with the global options put first."""
        parsed: list[str] = super().parse_args(ctx, globals_first(args))
        return parsed


def globals_first(args: Sequence[str]) -> list[str]:
    """The same command line with global options before the command and switches without `=true`."""
    first: list[str] = []
    rest: list[str] = []
    words: Iterator[str] = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
            break
        name, equals, value = word.partition("=")
        if name in _SWITCHES:
            if equals and value.lower() in ("false", "f", "0"):
                continue
            if not equals or value.lower() in ("true", "t", "1"):
                word = name
            (first if name in _GLOBAL_SWITCHES else rest).append(word)
        elif name in _GLOBAL_VALUES:
            first.append(word)
            if not equals:
                first += [value for value in (next(words, None),) if value is not None]
        elif word.startswith("-w") and len(word) > 2 and not word.startswith("--"):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one call."""

    endpoints: tuple[str, ...]
    tls: ClientTls | None
    form: str
    is_hex: bool
    timeout_seconds: float

    def printer(self, *, value_only: bool = False) -> Printer:
        """The printer of the chosen form."""
        return PRINTERS[self.form](is_hex=self.is_hex, value_only=value_only)

    def client(self) -> Client:
        """A client with these options."""
        return Client(self.endpoints, tls=self.tls, timeout_seconds=self.timeout_seconds)

    def run(self, command: Callable[[Client], Awaitable[T]]) -> T:
        """Run one command with a client; its errors end the program."""

        async def with_client() -> T:
            async with self.client() as client:
                return await command(client)

        return guarded(with_client())

    def show(self, command: Callable[[Client], Awaitable[bytes]]) -> None:
        """Run one command and print what it returns."""
        write(self.run(command))


def guarded(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`; errors become a sentence on standard error and an exit code."""
    try:
        return asyncio.run(coroutine)
    except UnsupportedOutputError as error:
        fail(str(error), EXIT_BAD_FEATURE)
    except ClientError as error:
        place = (
            ""
            if error.message.startswith("etcdserver:") or not error.endpoint
            else f"{error.endpoint}: "
        )
        fail(place + error.message)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not try to flush to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_ERROR) from None
    except OSError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def write(data: bytes) -> None:
    """Bytes to standard output, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def fail(message: str, code: int = EXIT_ERROR) -> NoReturn:
    """One sentence in etcdctl's form, and the end."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


def session_from(
    endpoints: str,
    ca_file: str,
    cert_file: str,
    key_file: str,
    form: str,
    is_hex: bool,
    timeout_seconds: float,
) -> Session:
    """The session the global options ask for; without endpoints, that of the running cluster."""
    if form not in PRINTERS:
        fail(f"unknown output format {form!r}: expected {', '.join(PRINTERS)}", EXIT_BAD_ARGUMENTS)
    tls = ClientTls(ca_file, cert_file, key_file) if ca_file or cert_file or key_file else None
    chosen = tuple(part.strip() for part in endpoints.split(",") if part.strip())
    if not chosen:
        chosen, running_tls = running_cluster()
        tls = tls or running_tls
    return Session(chosen or (_DEFAULT_ENDPOINT,), tls, form, is_hex, timeout_seconds)


def running_cluster() -> tuple[tuple[str, ...], ClientTls | None]:
    """Endpoints and certificates of the cluster whose state folder is here or above; () if there is none."""
    named = os.environ.get("QUORATE_STATE")
    here = Path.cwd()
    folders = [Path(named)] if named else [folder / ".quorate" for folder in (here, *here.parents)]
    for folder in folders:
        try:
            cluster = json.loads((folder / "cluster.json").read_text())
            endpoints = tuple(str(one) for one in cluster["store_endpoints"])
            files = cluster.get("store_tls")
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return endpoints, ClientTls(**files) if files else None
    return (), None
