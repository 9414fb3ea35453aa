"""`quorate kv`: the store's client on the command line, in etcdctl's words and with its output.

Keys and transactions and watches are here, leases and members in `kv_members.py`. Works on any etcd v3 endpoint.
"""

import os
import sys
from typing import Annotated

import typer

from cli import kv_members
from cli.kv_session import (
    EXIT_BAD_ARGUMENTS,
    EXIT_BAD_FEATURE,
    EXIT_INVALID_INPUT,
    EXIT_WATCH_ENDED,
    KvGroup,
    Session,
    fail,
    session_from,
    write,
)
from cli.kv_text import (
    WordError,
    key_range,
    parse_compare,
    parse_id,
    parse_operation,
    section,
    sort_words,
)
from kvstore.base.durations import parse_duration
from kvstore.client.client import Client
from kvstore.client.errors import Compacted, WatchCancelled
from kvstore.client.types import OpGet

app = typer.Typer(
    name="kv",
    cls=KvGroup,
    no_args_is_help=True,
    help="The store's client, in etcdctl's words.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
kv_members.register(app)

Words = Annotated[list[str] | None, typer.Argument(show_default=False)]
Prefix = Annotated[bool, typer.Option("--prefix", help="All keys that begin with KEY.")]
FromKey = Annotated[bool, typer.Option("--from-key", help="All keys from KEY on.")]
PrevKv = Annotated[bool, typer.Option("--prev-kv", help="Also show what was there before.")]
Revision = Annotated[int, typer.Option("--rev", help="At this revision; 0: now.")]
ValueOnly = Annotated[
    bool, typer.Option("--print-value-only", help="Only values, in the simple form.")
]


@app.callback()
def options(
    context: typer.Context,
    endpoints: Annotated[
        str,
        typer.Option(
            envvar="ETCDCTL_ENDPOINTS",
            help="Comma-separated URLs. [default: the cluster running here, else 127.0.0.1:2379]",
            show_default=False,
        ),
    ] = "",
    cacert: Annotated[
        str, typer.Option(envvar="ETCDCTL_CACERT", help="CA file of the servers.")
    ] = "",
    cert: Annotated[
        str, typer.Option(envvar="ETCDCTL_CERT", help="Certificate of the client.")
    ] = "",
    key: Annotated[str, typer.Option(envvar="ETCDCTL_KEY", help="Key of that certificate.")] = "",
    write_out: Annotated[
        str,
        typer.Option(
            "--write-out", "-w", envvar="ETCDCTL_WRITE_OUT", help="simple, json, fields or table."
        ),
    ] = "simple",
    is_hex: Annotated[bool, typer.Option("--hex", help="Print bytes as \\x61.")] = False,
    command_timeout: Annotated[
        str, typer.Option(envvar="ETCDCTL_COMMAND_TIMEOUT", help="How long a command may take.")
    ] = "5s",
    dial_timeout: Annotated[str, typer.Option(hidden=True, envvar="ETCDCTL_DIAL_TIMEOUT")] = "",
) -> None:
    """Options that all commands take, in any place."""
    try:
        timeout_seconds = parse_duration(command_timeout)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)
    context.obj = session_from(endpoints, cacert, cert, key, write_out, is_hex, timeout_seconds)


def _range_words(
    command: str, words: list[str] | None, is_prefix: bool, is_from_key: bool
) -> tuple[bytes, bytes]:
    if not words or len(words) > 2:
        fail(
            f"{command} command needs one argument as key and an optional argument as range_end",
            EXIT_BAD_ARGUMENTS,
        )
    key, end = os.fsencode(words[0]), os.fsencode(words[1]) if len(words) > 1 else b""
    try:
        return key_range(key, end, is_prefix=is_prefix, is_from_key=is_from_key)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)


def _lease(text: str) -> int:
    try:
        return parse_id(text, "lease")
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)


@app.command()
def put(
    context: typer.Context,
    words: Words = None,
    lease: Annotated[str, typer.Option(help="Lease id (hexadecimal) to attach the key to.")] = "0",
    prev_kv: PrevKv = False,
    ignore_value: Annotated[bool, typer.Option("--ignore-value", help="Keep the value.")] = False,
    ignore_lease: Annotated[bool, typer.Option("--ignore-lease", help="Keep the lease.")] = False,
) -> None:
    """Set KEY to VALUE; without VALUE, to what standard input holds."""
    session: Session = context.obj
    if not words or len(words) > 2 or (ignore_value and len(words) > 1):
        fail("put command needs 1 argument and input from stdin or 2 arguments", EXIT_BAD_ARGUMENTS)
    if len(words) > 1:
        value = os.fsencode(words[1])
    else:
        value = b"" if ignore_value else sys.stdin.buffer.read()
    lease_id = _lease(lease)

    async def command(client: Client) -> bytes:
        result = await client.put(
            os.fsencode(words[0]),
            value,
            lease=lease_id,
            prev_kv=prev_kv,
            ignore_value=ignore_value,
            ignore_lease=ignore_lease,
        )
        return session.printer().put(result)

    session.show(command)


@app.command()
def get(
    context: typer.Context,
    words: Words = None,
    prefix: Prefix = False,
    from_key: FromKey = False,
    rev: Revision = 0,
    limit: Annotated[int, typer.Option(help="At most so many keys; 0: all.")] = 0,
    order: Annotated[str, typer.Option(help="ASCEND or DESCEND.")] = "",
    sort_by: Annotated[str, typer.Option(help="CREATE, KEY, MODIFY, VALUE or VERSION.")] = "",
    keys_only: Annotated[bool, typer.Option("--keys-only", help="No values.")] = False,
    count_only: Annotated[bool, typer.Option("--count-only", help="Only how many.")] = False,
    print_value_only: ValueOnly = False,
    consistency: Annotated[str, typer.Option(help="l (linearizable) or s (serializable).")] = "l",
) -> None:
    """Show KEY, or the keys from KEY to RANGE_END."""
    session: Session = context.obj
    key, end = _range_words("get", words, prefix, from_key)
    if consistency not in ("l", "s"):
        fail(f'unknown consistency flag "{consistency}"', EXIT_BAD_FEATURE)
    try:
        sort_order, sort_target = sort_words(order, sort_by)
    except WordError as error:
        fail(str(error), EXIT_BAD_FEATURE)
    request = OpGet(
        key,
        end,
        limit=limit,
        revision=rev,
        keys_only=keys_only,
        count_only=count_only,
        serializable=consistency == "s",
        sort_order=sort_order,
        sort_target=sort_target,
    )

    async def command(client: Client) -> bytes:
        result = await client.range(request)
        if count_only and session.form == "simple":
            return b"%d\n" % result.count
        return session.printer(value_only=print_value_only).range(result)

    session.show(command)


@app.command("del")
def delete(
    context: typer.Context,
    words: Words = None,
    prefix: Prefix = False,
    from_key: FromKey = False,
    prev_kv: PrevKv = False,
) -> None:
    """Delete KEY, or the keys from KEY to RANGE_END."""
    session: Session = context.obj
    key, end = _range_words("del", words, prefix, from_key)

    async def command(client: Client) -> bytes:
        return session.printer().delete(await client.delete(key, range_end=end, prev_kv=prev_kv))

    session.show(command)


@app.command()
def txn(
    context: typer.Context,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for each part.")
    ] = False,
) -> None:
    """Run a transaction read from standard input: conditions, then two lists of operations."""
    session: Session = context.obj

    def read(prompt: str) -> list[str]:
        if interactive:
            typer.echo(prompt)
        return section(sys.stdin)

    try:
        compares = [parse_compare(line) for line in read("compares:")]
        success = [parse_operation(line) for line in read("success requests (get, put, del):")]
        failure = [parse_operation(line) for line in read("failure requests (get, put, del):")]
    except ValueError as error:
        fail(str(error), EXIT_INVALID_INPUT)

    async def command(client: Client) -> bytes:
        return session.printer().txn(await client.txn(compares, success, failure))

    session.show(command)


@app.command()
def watch(
    context: typer.Context,
    words: Words = None,
    prefix: Prefix = False,
    rev: Annotated[int, typer.Option("--rev", help="From this revision on; 0: from now on.")] = 0,
    prev_kv: PrevKv = False,
    progress_notify: Annotated[
        bool, typer.Option("--progress-notify", help="Also tell of progress.")
    ] = False,
) -> None:
    """Show changes of KEY, or of the keys from KEY to RANGE_END, until Ctrl-C."""
    session: Session = context.obj
    key, end = _range_words("watch", words, prefix, False)

    async def command(client: Client) -> None:
        printer = session.printer()
        watcher = client.watch(
            key, range_end=end, start_revision=rev, prev_kv=prev_kv, progress_notify=progress_notify
        )
        async for batch in watcher:
            if batch.events or progress_notify:
                write(printer.watch(batch))

    async def until_ended(client: Client) -> str:
        try:
            await command(client)
        except (Compacted, WatchCancelled) as error:
            return error.message
        return ""

    reason = session.run(until_ended)
    if reason:
        typer.echo(f"watch was canceled ({reason})", err=True)
        fail("watch is canceled by the server", EXIT_WATCH_ENDED)


@app.command()
def compaction(
    context: typer.Context,
    words: Words = None,
    physical: Annotated[
        bool, typer.Option("--physical", help="Wait until the disk is freed too.")
    ] = False,
) -> None:
    """Forget what was superseded before REVISION."""
    session: Session = context.obj
    if not words or len(words) != 1:
        fail("compaction command needs 1 argument", EXIT_BAD_ARGUMENTS)
    try:
        revision = int(words[0])
    except ValueError:
        fail(f"bad revision {words[0]!r}: a number is expected")

    async def command(client: Client) -> bytes:
        await client.compact(revision, physical=physical)
        return b"compacted revision %d\n" % revision

    session.show(command)


if __name__ == "__main__":
    app()
