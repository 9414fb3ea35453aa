"""What the commands share: global flags, where the cluster is, one client per command, errors as exit codes.

Exit codes are etcdctl's: 0 done, 1 failed, 2 no connection, 3 input that cannot be read, 4 no such feature, 5 ended
by the server, 128 wrong arguments; and 130 after Ctrl-C. Each global flag has an environment variable:
`--dial-timeout` is ETCDCTL_DIAL_TIMEOUT; the flag counts more. Without endpoints the cluster that runs in this
folder is meant.
"""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cli.kv.discovery import DiscoveryError, discover
from cli.kv.flags import Flag, FlagError, Values
from cli.output import Printer, UnsupportedOutputError
from cli.output_forms import PRINTERS
from kvstore.client.client import Client
from kvstore.client.environment import running_cluster
from kvstore.client.errors import AuthenticationFailed, ClientError, NotConnected
from kvstore.client.types import ClientTls

T = TypeVar("T")

EXIT_ERROR = 1
EXIT_BAD_CONNECTION = 2
EXIT_INVALID_INPUT = 3
EXIT_BAD_FEATURE = 4
EXIT_INTERRUPTED = 5
EXIT_BAD_ARGUMENTS = 128
EXIT_SIGNAL = 130

_DEFAULT_ENDPOINT = "127.0.0.1:2379"

GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag("cacert", "string", "", "CA file the servers' certificates are checked with"),
    Flag("cert", "string", "", "certificate file of the client"),
    Flag("command-timeout", "duration", 5.0, "how long a short command may take"),
    Flag("debug", help="say on standard error what is done"),
    Flag("dial-timeout", "duration", 2.0, "how long a connection may take"),
    Flag("discovery-srv", "string", "", "domain whose SRV records name the endpoints", "d"),
    Flag("discovery-srv-name", "string", "", "service name to look for in these records"),
    Flag("endpoints", "strings", [_DEFAULT_ENDPOINT], "addresses of members"),
    Flag("hex", help="print bytes as hexadecimal numbers"),
    Flag("insecure-discovery", default=True, help="take SRV records of plain endpoints too"),
    Flag("insecure-skip-tls-verify", help="do not check the servers' certificates (for tests)"),
    Flag("insecure-transport", default=True, help="plain connections where no TLS file is given"),
    Flag("keepalive-time", "duration", 2.0, "how often a silent connection is checked"),
    Flag("keepalive-timeout", "duration", 6.0, "how long such a check may take"),
    Flag("key", "string", "", "key file of the client's certificate"),
    Flag("password", "string", "", "password, where --user has none"),
    Flag("user", "string", "", "user[:password]; without password it is asked for"),
    Flag("write-out", "string", "simple", "form: fields, json, protobuf, simple or table", "w"),
)


class Exit(Exception):
    """The end of the program with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Session:
    """The global flags of one call."""

    endpoints: tuple[str, ...]
    tls: ClientTls | None
    form: str
    is_hex: bool
    timeout_seconds: float
    user: str = ""
    password: str = ""
    keepalive_seconds: float = 6.0
    keepalive_timeout_seconds: float = 6.0
    has_given_endpoints: bool = True

    def printer(self, *, value_only: bool = False) -> Printer:
        """The printer of the chosen form."""
        if self.form not in PRINTERS:
            fail("unsupported output format", EXIT_BAD_FEATURE)
        return PRINTERS[self.form](is_hex=self.is_hex, value_only=value_only)

    def client(self, endpoints: tuple[str, ...] = ()) -> Client:
        """A client with these flags; of other endpoints if they are given."""
        return Client(
            endpoints or self.endpoints,
            tls=self.tls,
            user=self.user,
            password=self.password,
            timeout_seconds=self.timeout_seconds,
            keepalive_seconds=self.keepalive_seconds,
            keepalive_timeout_seconds=self.keepalive_timeout_seconds,
        )

    def run(self, command: Callable[[Client], Awaitable[T]]) -> T:
        """Run one command with a client; its errors end the program."""

        async def with_client() -> T:
            async with self.client() as client:
                return await command(client)

        return guarded(with_client())

    def show(self, command: Callable[[Client], Awaitable[bytes]]) -> None:
        """Run one command and print what it returns."""
        self.printer()
        write(self.run(command))


def guarded(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`; errors become a sentence on standard error and an exit code."""
    try:
        return asyncio.run(_alone(coroutine))
    except UnsupportedOutputError as error:
        fail(str(error), EXIT_BAD_FEATURE)
    except NotConnected as error:
        # What etcdctl says; the reason first.
        tell(f"{error.endpoint}: {error.message}")
        fail("context deadline exceeded")
    except AuthenticationFailed as error:
        fail(error.message, EXIT_BAD_CONNECTION)
    except ClientError as error:
        fail(error.message)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not try to flush to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(EXIT_ERROR) from None
    except OSError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise Exit(EXIT_SIGNAL) from None


async def _alone(coroutine: Coroutine[Any, Any, T]) -> T:
    """Its result, or its error: of several that a group of tasks ended with, the first."""
    try:
        return await coroutine
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def write(data: bytes) -> None:
    """Bytes to standard output, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tell(message: str) -> None:
    """A line to standard error."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def fail(message: str, code: int = EXIT_ERROR) -> NoReturn:
    """One sentence in etcdctl's form, and the end."""
    tell(f"Error: {message}")
    raise Exit(code)


def with_environment(values: Values) -> Values:
    """The same values, where a global flag that was not given is taken from its variable."""
    for flag in GLOBAL_FLAGS:
        text = os.environ.get("ETCDCTL_" + flag.name.upper().replace("-", "_"), "")
        if text and flag.name not in values.given:
            try:
                values.values[flag.name] = flag.read(text)
            except FlagError as error:
                fail(str(error), EXIT_BAD_ARGUMENTS)
            values.given.add(flag.name)
    return values


def session_from(values: Values) -> Session:
    """The session the global flags ask for; without endpoints, that of the running cluster."""
    if values["write-out"] not in PRINTERS:
        fail("unsupported output format", EXIT_BAD_FEATURE)
    files = (values["cacert"], values["cert"], values["key"])
    tls: ClientTls | None = None
    if any(files) or values["insecure-skip-tls-verify"] or not values["insecure-transport"]:
        tls = ClientTls(*files, skip_verify=values["insecure-skip-tls-verify"])
    has_endpoints = "endpoints" in values.given
    endpoints = tuple(one.strip() for one in values["endpoints"] if one.strip())
    if values["discovery-srv"]:
        try:
            endpoints = discover(
                values["discovery-srv"],
                values["discovery-srv-name"],
                takes_plain=values["insecure-discovery"],
            )
        except DiscoveryError as error:
            fail(str(error), EXIT_BAD_FEATURE)
        has_endpoints = True
    elif not has_endpoints:
        running, running_tls = running_cluster(os.environ, Path.cwd())
        endpoints, tls = (running, tls or running_tls) if running else (endpoints, tls)
    user, password = _login(values["user"], values["password"])
    session = Session(
        endpoints or (_DEFAULT_ENDPOINT,),
        tls,
        values["write-out"],
        values["hex"],
        values["command-timeout"],
        user,
        password,
        # Members close connections that ask more often than every five seconds.
        max(values["keepalive-time"], 6.0),
        values["keepalive-timeout"],
        has_endpoints,
    )
    if values["debug"]:
        for flag in GLOBAL_FLAGS:
            secret = flag.name == "password" or (flag.name == "user" and password)
            tell(f"--{flag.name}={'***' if secret and values[flag.name] else values[flag.name]}")
        tell(f"INFO: endpoints {', '.join(session.endpoints)}")
    return session


def _login(user: str, password: str) -> tuple[str, str]:
    """User and password; after --password a colon belongs to the user's name."""
    if not user:
        return "", ""
    if password:
        return user, password
    name, colon, rest = user.partition(":")
    return (name, rest) if colon else (name, ask_password("Password: "))


def ask_password(prompt: str) -> str:
    """A line nobody sees on the terminal; from standard input if that is none."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    write(prompt.encode())
    line = sys.stdin.readline()
    write(b"\n")
    return line.rstrip("\n")
