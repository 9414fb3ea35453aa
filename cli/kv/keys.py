"""Commands about keys: get, put, del, txn, compaction."""

import sys
from collections.abc import Callable
from typing import TypeVar

from cli.kv.flags import Flag, Values, go_int
from cli.kv.session import (
    EXIT_BAD_ARGUMENTS,
    EXIT_INVALID_INPUT,
    Session,
    fail,
    session_from,
    write,
)
from cli.kv.tree import Command
from cli.kv.words import (
    DELETE_FLAGS,
    GET_FLAGS,
    PUT_FLAGS,
    LineError,
    delete_operation,
    get_operation,
    parse_compare,
    parse_operation,
    put_operation,
    section,
)
from kvstore.client.client import Client
from kvstore.client.types import OpTxn

T = TypeVar("T")


def commands() -> list[Command]:
    """The commands of this module."""
    return [
        Command(
            "get", "Shows a key or a range of keys", "[options] <key> [range_end]", _get, GET_FLAGS
        ),
        Command(
            "put",
            "Sets a key; the value may come from standard input",
            "[options] <key> <value>",
            _put,
            PUT_FLAGS,
        ),
        Command(
            "del",
            "Deletes a key or a range of keys",
            "[options] <key> [range_end]",
            _delete,
            DELETE_FLAGS,
        ),
        Command(
            "txn",
            "Runs a transaction read from standard input",
            "[options]",
            _txn,
            (Flag("interactive", help="ask for each part", short="i"),),
        ),
        Command(
            "compaction",
            "Forgets what was superseded before a revision",
            "[options] <revision>",
            _compaction,
            (Flag("physical", help="wait until the space is free"),),
        ),
    ]


def _get(values: Values) -> None:
    operation = get_operation(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.range(operation)
        if values["count-only"] and session.form != "fields":
            fail("--count-only is only for `--write-out=fields`", EXIT_BAD_ARGUMENTS)
        if values["print-value-only"] and session.form != "simple":
            fail("print-value-only is only for `--write-out=simple`", EXIT_BAD_ARGUMENTS)
        return session.printer(value_only=values["print-value-only"]).range(result)

    session.show(command)


def _put(values: Values) -> None:
    operation = put_operation(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.put(
            operation.key,
            operation.value,
            lease=operation.lease,
            prev_kv=operation.prev_kv,
            ignore_value=operation.ignore_value,
            ignore_lease=operation.ignore_lease,
        )
        return session.printer().put(result)

    session.show(command)


def _delete(values: Values) -> None:
    operation = delete_operation(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.delete(
            operation.key, range_end=operation.range_end, prev_kv=operation.prev_kv
        )
        return session.printer().delete(result)

    session.show(command)


def _txn(values: Values) -> None:
    if values.arguments:
        fail("txn command does not accept argument", EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    def ask(prompt: str, parse_line: Callable[[str], T]) -> list[T]:
        if values["interactive"]:
            write(f"{prompt}\n".encode())
        return section(sys.stdin, parse_line)

    try:
        operation = OpTxn(
            ask("compares:", parse_compare),
            ask("success requests (get, put, del):", parse_operation),
            ask("failure requests (get, put, del):", parse_operation),
        )
    except LineError as error:
        fail(str(error), EXIT_INVALID_INPUT)

    async def command(client: Client) -> bytes:
        return session.printer().txn(await client.commit(operation))

    session.show(command)


def _compaction(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("compaction command needs 1 argument", EXIT_BAD_ARGUMENTS)
    try:
        revision = go_int(values.arguments[0])
    except ValueError as error:
        fail(str(error))
    session: Session = session_from(values)

    async def command(client: Client) -> bytes:
        await client.compact(revision, physical=values["physical"])
        return b"compacted revision %d\n" % revision

    session.show(command)
