"""The watch command: one watch, many typed in, or a program run for each event.

The program gets the event in ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE (the
last three in double quotes); it is run directly, without a shell. Key and end of the range may come from
ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END instead of arguments.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.kv.flags import Flag, FlagError, Values, parse
from cli.kv.session import (
    EXIT_BAD_ARGUMENTS,
    EXIT_INTERRUPTED,
    EXIT_INVALID_INPUT,
    Exit,
    Session,
    fail,
    session_from,
    tell,
    write,
)
from cli.kv.tree import Command
from cli.kv.words import PREFIX, PREV_KV, split_words
from cli.output import UnsupportedOutputError
from cli.output_data import go_json, go_quote, json_header
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, Compacted
from kvstore.client.ops import prefix_end
from kvstore.client.types import Event, Header, WatchBatch
from kvstore.client.watch import Watcher

_BAD_NUMBER = "bad number of arguments"
FLAGS: tuple[Flag, ...] = (
    Flag("interactive", help="read watches from standard input", short="i"),
    PREFIX,
    PREV_KV,
    Flag("progress-notify", help="also tell of progress, now and then"),
    Flag("rev", "int", 0, "from this revision on"),
)


def commands() -> list[Command]:
    """The commands of this module."""
    usage = "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]"
    return [Command("watch", "Shows changes of keys as they happen", usage, _watch, FLAGS)]


@dataclass(frozen=True, slots=True)
class Request:
    """One watch, and what to run for each event; empty: print it."""

    key: bytes
    range_end: bytes
    revision: int
    prev_kv: bool
    progress_notify: bool
    program: tuple[str, ...] = ()

    def open(self, client: Client) -> Watcher:
        """The watch."""
        return client.watch(
            self.key,
            range_end=self.range_end,
            start_revision=self.revision,
            prev_kv=self.prev_kv,
            progress_notify=self.progress_notify,
        )


class RequestError(ValueError):
    """A watch whose arguments do not fit."""


def request_from(values: Values) -> Request:
    """The watch that arguments and environment ask for; RequestError."""
    words = values.arguments
    program: list[str] = []
    if values.before_dashes is not None:
        words, program = words[: values.before_dashes], words[values.before_dashes :]
        if not program:
            raise RequestError(f"{_BAD_NUMBER} (found separator --, but no commands)")
    from_environment = os.environ.get("ETCDCTL_WATCH_KEY", "")
    if from_environment:
        if words:
            raise RequestError(f"{_BAD_NUMBER} (found conflicting environment key)")
        end = os.environ.get("ETCDCTL_WATCH_RANGE_END", "")
        words = [from_environment, end] if end else [from_environment]
    if not words:
        raise RequestError(_BAD_NUMBER)
    key, end_bytes = os.fsencode(words[0]), b""
    if len(words) == 2:
        if values["prefix"]:
            raise RequestError("`range_end` and `--prefix` are mutually exclusive")
        end_bytes = os.fsencode(words[1])
    if values["prefix"]:
        key, end_bytes = (key, prefix_end(key)) if key else (b"\0", b"\0")
    return Request(
        key,
        end_bytes,
        values["rev"],
        values["prev-kv"],
        values["progress-notify"],
        tuple(program),
    )


def environment(event: Event, revision: int) -> dict[str, str]:
    """What the program is told of an event."""
    return {
        "ETCD_WATCH_REVISION": str(revision),
        "ETCD_WATCH_EVENT_TYPE": f'"{event.type}"',
        "ETCD_WATCH_KEY": go_quote(event.kv.key),
        "ETCD_WATCH_VALUE": go_quote(event.kv.value),
    }


async def _run_program(program: Sequence[str], event: Event, revision: int) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *program, env={**os.environ, **environment(event, revision)}
        )
        code = await process.wait()
    except OSError as error:
        tell(f"command {list(program)} error ({error.strerror})")
        raise Exit(1) from None
    if code != 0:
        tell(f"command {list(program)} error (exit status {code})")
        raise Exit(1)


async def _show(session: Session, client: Client, request: Request) -> None:
    """Print a watch until it ends by an error of the server."""
    printer = session.printer()
    async for batch in request.open(client):
        if not batch.events:
            write(b"progress notify: %d\n" % batch.header.revision)
        write(printer.watch(batch))
        for event in batch.events if request.program else ():
            await _run_program(request.program, event, batch.header.revision)


def _cancelled(session: Session, error: ClientError) -> None:
    """Tell that a watch was ended, in the form's own way."""
    tell(f"watch was canceled ({error.message})")
    header = error.header if isinstance(error, Compacted) else None
    if session.form == "json":
        revision = error.compact_revision if isinstance(error, Compacted) else 0
        end: dict[str, Any] = {
            "Header": json_header(header or Header()),
            "Events": [] if header else None,
        }
        write(go_json({**end, "CompactRevision": revision, "Canceled": True, "Created": False}))
    elif session.form != "simple":
        write(session.printer().watch(WatchBatch(header or Header())))


def _watch(values: Values) -> None:
    if values["interactive"]:
        _interactive(values)
        return
    try:
        request = request_from(values)
    except RequestError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    async def command(client: Client) -> None:
        try:
            await _show(session, client, request)
        except ClientError as error:
            _cancelled(session, error)

    session.run(command)
    fail("watch is canceled by the server", EXIT_INTERRUPTED)


def _interactive(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> None:
        lines: asyncio.Queue[str] = asyncio.Queue()
        _feed(lines)
        async with asyncio.TaskGroup() as group:
            tasks = []

            async def one(request: Request) -> None:
                try:
                    await _show(session, client, request)
                except ClientError as error:
                    _cancelled(session, error)
                except UnsupportedOutputError as error:
                    tell(f"Error: {error}")

            while line := await lines.get():
                words = split_words(line)
                if not words:
                    continue
                if words == ["progress"]:
                    # A watch typed just before must be there first.
                    await asyncio.sleep(0.2)
                    await client.request_progress()
                    continue
                if words[0] != "watch":
                    tell(f"Invalid command {line.strip()} (only support watch)")
                    continue
                try:
                    request = request_from(parse(words[1:], FLAGS))
                except (FlagError, RequestError) as error:
                    known = str(error).removeprefix(_BAD_NUMBER) or (
                        "command type or key is not provided"
                    )
                    tell(f"Invalid command {line.strip()} ({known})")
                    continue
                tasks.append(group.create_task(one(request)))
            # What was asked for last still gets its answers.
            await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()

    session.run(command)
    fail("error reading watch request line: EOF", EXIT_INVALID_INPUT)


def _feed(lines: "asyncio.Queue[str]") -> None:
    """Lines of standard input into the queue, an empty text at its end; a thread, for a file cannot be awaited."""
    loop = asyncio.get_running_loop()
    source = sys.stdin

    def put(line: str) -> Callable[[], None]:
        return lambda: lines.put_nowait(line)

    def read() -> None:
        for line in source:
            loop.call_soon_threadsafe(put(line))
        loop.call_soon_threadsafe(put(""))

    threading.Thread(target=read, daemon=True).start()
