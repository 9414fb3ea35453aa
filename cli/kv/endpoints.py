"""Commands about endpoints and what needs care: endpoint status, health, hashkv; alarm list, disarm; defrag."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cli.kv.flags import Flag, Values
from cli.kv.session import EXIT_BAD_ARGUMENTS, Exit, Session, fail, session_from, tell, write
from cli.kv.tree import Command
from cli.output import Health
from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import (
    ClientError,
    DeadlineExceeded,
    NotConnected,
    PermissionDenied,
)
from kvstore.client.types import Alarms, Header

T = TypeVar("T")

CLUSTER = Flag("cluster", help="all members of the cluster, not only the given endpoints")


def commands() -> list[Command]:
    """The commands of this module."""
    revision = Flag("rev", "int", 0, "up to this revision")
    below = [
        Command("status", "Shows the state of endpoints", "", _status, (CLUSTER,)),
        Command("health", "Says which endpoints can serve", "", _health, (CLUSTER,)),
        Command("hashkv", "Shows a digest of each endpoint's keys", "", _hash, (CLUSTER, revision)),
    ]
    alarms = [
        Command("list", "Shows raised alarms", "", _alarm_list),
        Command("disarm", "Takes back all alarms", "", _alarm_disarm),
    ]
    data_dir = Flag("data-dir", "string", "", "folder of a member that is not running")
    return [
        Command("endpoint", "Commands about endpoints", "<subcommand>", children=below),
        Command("alarm", "Commands about alarms", "<subcommand>", children=alarms),
        Command("defrag", "Lets endpoints give space back", "", _defrag, (CLUSTER, data_dir)),
    ]


def reason(error: ClientError) -> str:
    """What is said of an endpoint that did not answer in time."""
    if isinstance(error, NotConnected | DeadlineExceeded):
        return "context deadline exceeded"
    return error.message


async def _chosen(session: Session, client: Client, values: Values) -> Sequence[str]:
    if not values["cluster"]:
        return session.endpoints
    members = (await client.member_list()).members
    return sorted({url for member in members for url in member.client_urls})


async def _from_each(
    endpoints: Sequence[str], what: str, ask: Callable[[str], Awaitable[T]]
) -> tuple[list[tuple[str, T]], str]:
    """Answers of the endpoints, and why the last one failed, if any; failures are told on standard error."""
    rows: list[tuple[str, T]] = []
    last = ""
    for endpoint in endpoints:
        try:
            rows.append((endpoint, await ask(endpoint)))
        except ClientError as error:
            last = reason(error)
            tell(f"Failed to get the {what} of endpoint {endpoint} ({last})")
    return rows, last


def _status(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> bool:
        endpoints = await _chosen(session, client, values)
        rows, failure = await _from_each(endpoints, "status", client.status)
        write(session.printer().status(rows))
        return bool(failure)

    if session.run(command):
        raise Exit(1)


def _hash(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> str:
        rows, failure = await _from_each(
            await _chosen(session, client, values),
            "hash",
            lambda endpoint: client.hash_kv(endpoint, revision=values["rev"]),
        )
        write(session.printer().hashes(rows))
        return failure

    if failure := session.run(command):
        fail(failure)


async def _check(session: Session, endpoint: str) -> Health:
    clock = SystemClock()
    started = clock.monotonic()
    message = ""
    async with session.client((endpoint,)) as client:
        try:
            await client.get(b"health")
        except PermissionDenied:
            message = ""  # Who may not read was still answered by the cluster.
        except ClientError as error:
            message = reason(error)
        took = clock.monotonic() - started
        if not message:
            try:
                raised = (await client.alarm_list()).alarms
            except ClientError as error:
                message = "Unable to fetch the alarm list"
                tell(f"{endpoint}: {error.message}")
            else:
                if raised:
                    message = "Active Alarm(s): " + "".join(f"{one.name} " for _, one in raised)
    return Health(endpoint, took, message)


def _health(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> bool:
        rows = [await _check(session, one) for one in await _chosen(session, client, values)]
        rows.sort(key=lambda row: bool(row.error))
        if session.form == "simple":
            for row in rows:
                if row.error:
                    tell(f"{row.endpoint} is unhealthy: failed to commit proposal: {row.error}")
            write(session.printer().health([row for row in rows if not row.error]))
        else:
            write(session.printer().health(rows))
        return any(row.error for row in rows)

    if session.run(command):
        fail("unhealthy cluster")


def _alarm_list(values: Values) -> None:
    if values.arguments:
        fail("alarm list command accepts no arguments", EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().alarms(await client.alarm_list())

    session.show(command)


def _alarm_disarm(values: Values) -> None:
    if values.arguments:
        fail("alarm disarm command accepts no arguments", EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        # The answer is put together from one per alarm, so it has no header of its own.
        return session.printer().alarms(Alarms(Header(), (await client.alarm_disarm()).alarms))

    session.show(command)


def _defrag(values: Values) -> None:
    if values["data-dir"]:
        fail(
            "a stopped member needs no defragmentation here: its log is rewritten at every snapshot; "
            "for etcd's own folders use `etcdutl defrag`",
            EXIT_BAD_ARGUMENTS,
        )
    session = session_from(values)

    async def command(client: Client) -> bool:
        has_failed = False
        for endpoint in await _chosen(session, client, values):
            try:
                await client.defragment(endpoint)
            except ClientError as error:
                has_failed = True
                tell(f"Failed to defragment etcd member[{endpoint}] ({reason(error)})")
            else:
                write(f"Finished defragmenting etcd member[{endpoint}]\n".encode())
        return has_failed

    if session.run(command):
        raise Exit(1)
