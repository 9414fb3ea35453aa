"""make-mirror: copies the keys under a prefix to another cluster, then every change, until it is interrupted.

First all keys as of one revision in pieces, then a watch from the next one; the changes of one revision arrive as one
transaction. Every half minute it prints how many changes were copied so far, as etcdctl does.
"""

import asyncio
import os
from itertools import groupby

from cli.kv.flags import Flag, Values
from cli.kv.session import EXIT_BAD_ARGUMENTS, fail, guarded, session_from, write
from cli.kv.tree import Command
from kvstore.client.client import Client
from kvstore.client.ops import prefix_end
from kvstore.client.types import ClientTls, Event, Op, OpDelete, OpGet, OpPut, OpTxn, SortOrder

_BATCH = 1000
_REPORT_SECONDS = 30.0


def commands() -> list[Command]:
    """The commands of this module."""
    flags = (
        Flag("dest-cacert", "string", "", "CA file of the destination"),
        Flag("dest-cert", "string", "", "certificate for the destination"),
        Flag("dest-insecure-transport", default=True, help="plain connections to the destination"),
        Flag("dest-key", "string", "", "key of that certificate"),
        Flag("dest-password", "string", "", "password at the destination"),
        Flag("dest-prefix", "string", "", "what the prefix becomes there"),
        Flag("dest-user", "string", "", "user[:password] at the destination"),
        Flag("max-txn-ops", "int", 128, "changes in one transaction at most"),
        Flag("no-dest-prefix", help="drop the prefix there"),
        Flag("prefix", "string", "", "copy keys that begin with this"),
        Flag("rev", "int", 0, "copy changes from this revision on, and no keys before"),
    )
    return [
        Command(
            "make-mirror",
            "Copies keys and their changes to another cluster",
            "[options] <destination>",
            _mirror,
            flags,
        )
    ]


def renamed(key: bytes, prefix: bytes, destination: bytes) -> bytes:
    """The key's name at the destination."""
    return destination + key[len(prefix) :]


def as_operation(event: Event, prefix: bytes, destination: bytes) -> Op:
    """What makes the same change there."""
    key = renamed(event.kv.key, prefix, destination)
    return OpPut(key, event.kv.value) if event.type == "PUT" else OpDelete(key)


def _mirror(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("make-mirror takes one destination argument", EXIT_BAD_ARGUMENTS)
    prefix = os.fsencode(values["prefix"])
    destination = os.fsencode(values["dest-prefix"])
    if values["dest-prefix"] and values["no-dest-prefix"]:
        fail(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one.",
            EXIT_BAD_ARGUMENTS,
        )
    if not destination and not values["no-dest-prefix"]:
        destination = prefix
    session = session_from(values)
    files = (values["dest-cacert"], values["dest-cert"], values["dest-key"])
    user, _, password = values["dest-user"].partition(":")
    there = Client(
        [values.arguments[0]],
        tls=ClientTls(*files) if any(files) or not values["dest-insecure-transport"] else None,
        user=user,
        password=values["dest-password"] or password,
        timeout_seconds=session.timeout_seconds,
    )

    async def both() -> None:
        async with there, session.client() as here, asyncio.TaskGroup() as group:
            count = [0]
            reporter = group.create_task(_report(here, count))
            try:
                await _copy(values, here, there, prefix, destination, count)
            finally:
                reporter.cancel()

    guarded(both())


async def _report(client: Client, count: list[int]) -> None:
    while True:
        await client.clock.sleep(_REPORT_SECONDS)
        write(b"%d\n" % count[0])


async def _copy(
    values: Values, here: Client, there: Client, prefix: bytes, destination: bytes, count: list[int]
) -> None:
    key, end = (prefix, prefix_end(prefix)) if prefix else (b"\0", b"\0")
    start = values["rev"]
    if not start:
        start = await _copy_keys(here, there, (key, end), (prefix, destination), count) + 1
    limit = max(values["max-txn-ops"], 1)
    async for batch in here.watch(key, range_end=end, start_revision=start):
        for _, events in groupby(batch.events, key=lambda event: event.kv.mod_revision):
            operations = [as_operation(one, prefix, destination) for one in events]
            for at in range(0, len(operations), limit):
                piece = operations[at : at + limit]
                await there.commit(OpTxn((), piece), is_repeatable=True)
                count[0] += len(piece)


async def _copy_keys(
    here: Client,
    there: Client,
    bounds: tuple[bytes, bytes],
    names: tuple[bytes, bytes],
    count: list[int],
) -> int:
    """Copy all keys as of one revision, which is returned."""
    key, end = bounds
    revision = (await here.get(b"mirror", count_only=True)).revision
    while True:
        found = await here.range(
            OpGet(key, end, limit=_BATCH, revision=revision, sort_order=SortOrder.ASCEND)
        )
        for kv in found.kvs:
            op = OpPut(renamed(kv.key, *names), kv.value)
            await there.commit(OpTxn((), [op]), is_repeatable=True)
            count[0] += 1
        if not found.more:
            return revision
        key = found.kvs[-1].key + b"\0"
