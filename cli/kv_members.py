"""`quorate kv` about leases and members: lease, member, endpoint, alarm, move-leader, defrag, snapshot."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cli.kv_session import EXIT_BAD_ARGUMENTS, Session, fail, write
from cli.kv_text import parse_id
from cli.output import Health
from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, LeaseNotFound, PermissionDenied

T = TypeVar("T")

lease_app = typer.Typer(no_args_is_help=True, help="Leases.")
member_app = typer.Typer(no_args_is_help=True, help="Members.")
endpoint_app = typer.Typer(no_args_is_help=True, help="Endpoints.")
alarm_app = typer.Typer(no_args_is_help=True, help="Alarms.")
snapshot_app = typer.Typer(no_args_is_help=True, help="Snapshots.")

Word = Annotated[str | None, typer.Argument(show_default=False)]
AllMembers = Annotated[
    bool, typer.Option("--cluster", help="All members, not only the given endpoints.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.add_typer(lease_app, name="lease")
    app.add_typer(member_app, name="member")
    app.add_typer(endpoint_app, name="endpoint")
    app.add_typer(alarm_app, name="alarm")
    app.add_typer(snapshot_app, name="snapshot")
    app.command("move-leader")(move_leader)
    app.command("defrag")(defrag)


def _id(text: str | None, what: str, command: str) -> int:
    if text is None:
        fail(f"{command} command needs {what} ID as argument", EXIT_BAD_ARGUMENTS)
    try:
        return parse_id(text, what)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)


@lease_app.command("grant")
def lease_grant(context: typer.Context, ttl: Word = None) -> None:
    """Make a lease of TTL seconds."""
    session: Session = context.obj
    if ttl is None:
        fail("lease grant command needs TTL argument", EXIT_BAD_ARGUMENTS)
    try:
        seconds = int(ttl)
    except ValueError:
        fail(f"bad TTL ({ttl!r} is not a number)", EXIT_BAD_ARGUMENTS)

    async def command(client: Client) -> bytes:
        return session.printer().lease_grant(await client.lease_grant(seconds))

    session.show(command)


@lease_app.command("revoke")
def lease_revoke(context: typer.Context, lease: Word = None) -> None:
    """End a lease and delete its keys."""
    session: Session = context.obj
    lease_id = _id(lease, "lease", "lease revoke")

    async def command(client: Client) -> bytes:
        try:
            return session.printer().lease_revoke(lease_id, await client.lease_revoke(lease_id))
        except ClientError as error:
            fail(f"failed to revoke lease ({error.message})")

    session.show(command)


@lease_app.command("timetolive")
def lease_time_to_live(
    context: typer.Context,
    lease: Word = None,
    keys: Annotated[bool, typer.Option("--keys", help="Also its keys.")] = False,
) -> None:
    """Show what is left of a lease."""
    session: Session = context.obj
    lease_id = _id(lease, "lease", "lease timetolive")

    async def command(client: Client) -> bytes:
        info = await client.lease_time_to_live(lease_id, with_keys=keys)
        return session.printer().lease_info(info, keys)

    session.show(command)


@lease_app.command("list")
def lease_list(context: typer.Context) -> None:
    """Show all leases."""
    session: Session = context.obj

    async def command(client: Client) -> bytes:
        return session.printer().lease_list(await client.lease_list())

    session.show(command)


@lease_app.command("keep-alive")
def lease_keep_alive(
    context: typer.Context,
    lease: Word = None,
    once: Annotated[bool, typer.Option("--once", help="Renew once and end.")] = False,
) -> None:
    """Renew a lease until Ctrl-C, or until it is gone."""
    session: Session = context.obj
    lease_id = _id(lease, "lease", "lease keep-alive")

    async def command(client: Client) -> None:
        printer = session.printer()
        while True:
            try:
                alive = await client.lease_keep_alive(lease_id)
            except LeaseNotFound:
                if once:
                    raise
                write(f"lease {lease_id:016x} expired or revoked.\n".encode())
                return
            write(printer.lease_alive(alive))
            if once:
                return
            await client.clock.sleep(alive.ttl / 3)

    session.run(command)


@member_app.command("list")
def member_list(context: typer.Context) -> None:
    """Show all members."""
    session: Session = context.obj

    async def command(client: Client) -> bytes:
        return session.printer().member_list(await client.member_list())

    session.show(command)


@member_app.command("add")
def member_add(
    context: typer.Context,
    name: Word = None,
    peer_urls: Annotated[str, typer.Option(help="Comma-separated peer URLs.")] = "",
    learner: Annotated[bool, typer.Option("--learner", help="Without a vote.")] = False,
) -> None:
    """Add a member."""
    session: Session = context.obj
    if name is None:
        fail("member name not provided", EXIT_BAD_ARGUMENTS)
    urls = [url for url in peer_urls.split(",") if url]
    if not urls:
        fail("member peer urls not provided", EXIT_BAD_ARGUMENTS)

    async def command(client: Client) -> bytes:
        return session.printer().member_add(await client.member_add(urls, is_learner=learner), name)

    session.show(command)


@member_app.command("remove")
def member_remove(context: typer.Context, member: Word = None) -> None:
    """Remove a member."""
    session: Session = context.obj
    member_id = _id(member, "member", "member remove")

    async def command(client: Client) -> bytes:
        return session.printer().member_remove(member_id, await client.member_remove(member_id))

    session.show(command)


async def _endpoints(session: Session, client: Client, all_members: bool) -> tuple[str, ...]:
    if not all_members:
        return session.endpoints
    members = (await client.member_list()).members
    return tuple(url for member in members for url in member.client_urls)


async def _from_each(
    session: Session,
    client: Client,
    all_members: bool,
    what: str,
    ask: Callable[[str], Awaitable[T]],
) -> tuple[list[tuple[str, T]], bool]:
    """Answers of the endpoints, and whether one failed; failures are told on standard error."""
    rows: list[tuple[str, T]] = []
    has_failed = False
    for endpoint in await _endpoints(session, client, all_members):
        try:
            rows.append((endpoint, await ask(endpoint)))
        except ClientError as error:
            has_failed = True
            typer.echo(f"Failed to {what} {endpoint} ({error.message})", err=True)
    return rows, has_failed


@endpoint_app.command("status")
def endpoint_status(context: typer.Context, cluster: AllMembers = False) -> None:
    """Show the state of each endpoint."""
    session: Session = context.obj

    async def command(client: Client) -> bool:
        rows, has_failed = await _from_each(
            session, client, cluster, "get the status of endpoint", client.status
        )
        write(session.printer().status(rows))
        return has_failed

    if session.run(command):
        raise typer.Exit(1)


@endpoint_app.command("hashkv")
def endpoint_hash(
    context: typer.Context,
    cluster: AllMembers = False,
    rev: Annotated[int, typer.Option("--rev", help="At this revision; 0: now.")] = 0,
) -> None:
    """Show the digest of each endpoint's keys."""
    session: Session = context.obj

    async def command(client: Client) -> bool:
        rows, has_failed = await _from_each(
            session,
            client,
            cluster,
            "get the hash of endpoint",
            lambda endpoint: client.hash_kv(endpoint, revision=rev),
        )
        write(session.printer().hashes(rows))
        return has_failed

    if session.run(command):
        raise typer.Exit(1)


@endpoint_app.command("health")
def endpoint_health(context: typer.Context, cluster: AllMembers = False) -> None:
    """Say whether each endpoint can serve a linearizable read."""
    session: Session = context.obj
    clock = SystemClock()

    async def check(endpoint: str) -> Health:
        started = clock.monotonic()
        message = ""
        async with Client(
            [endpoint], tls=session.tls, timeout_seconds=session.timeout_seconds
        ) as one:
            try:
                await one.get(b"health")
                raised = (await one.alarm_list()).alarms
                if raised:
                    names = sorted({kind.name for _, kind in raised})
                    message = "Active Alarm(s): " + " ".join(names)
            except PermissionDenied:
                message = ""  # Who may not read was still answered by the cluster.
            except ClientError as error:
                message = error.message
        return Health(endpoint, clock.monotonic() - started, message)

    async def command(client: Client) -> bool:
        rows = [await check(one) for one in await _endpoints(session, client, cluster)]
        write(session.printer().health(rows))
        return any(row.error for row in rows)

    if session.run(command):
        fail("unhealthy cluster")


@alarm_app.command("list")
def alarm_list(context: typer.Context) -> None:
    """Show raised alarms."""
    session: Session = context.obj

    async def command(client: Client) -> bytes:
        return session.printer().alarms(await client.alarm_list())

    session.show(command)


@alarm_app.command("disarm")
def alarm_disarm(context: typer.Context) -> None:
    """Take back all alarms."""
    session: Session = context.obj

    async def command(client: Client) -> bytes:
        return session.printer().alarms(await client.alarm_disarm())

    session.show(command)


def move_leader(context: typer.Context, member: Word = None) -> None:
    """Hand leadership to MEMBER."""
    session: Session = context.obj
    if member is None:
        fail("move-leader command needs 1 argument", EXIT_BAD_ARGUMENTS)
    target = _id(member, "member", "move-leader")

    async def command(client: Client) -> bytes:
        before = (await client.status()).leader
        await client.move_leader(target)
        return f"Leadership transferred from {before:x} to {target:x}\n".encode()

    session.show(command)


def defrag(context: typer.Context, cluster: AllMembers = False) -> None:
    """Let each endpoint give disk space back."""
    session: Session = context.obj

    async def command(client: Client) -> bool:
        has_failed = False
        for endpoint in await _endpoints(session, client, cluster):
            try:
                await client.defragment(endpoint, timeout_seconds=session.timeout_seconds)
            except ClientError as error:
                has_failed = True
                typer.echo(
                    f"Failed to defragment etcd member[{endpoint}] ({error.message})", err=True
                )
            else:
                write(f"Finished defragmenting etcd member[{endpoint}]\n".encode())
        return has_failed

    if session.run(command):
        raise typer.Exit(1)


@snapshot_app.command("save")
def snapshot_save(context: typer.Context, path: Word = None) -> None:
    """Write one member's snapshot to PATH; the file appears when it is whole."""
    session: Session = context.obj
    if path is None:
        fail("snapshot save expects one argument", EXIT_BAD_ARGUMENTS)
    if len(session.endpoints) != 1:
        fail(
            "snapshot must be requested to one selected node, not multiple "
            + ",".join(session.endpoints)
        )

    async def command(client: Client) -> bytes:
        await _save(client.snapshot(session.endpoints[0]), Path(path))
        return f"Snapshot saved at {path}\n".encode()

    session.show(command)


async def _save(pieces: AsyncIterator[bytes], path: Path) -> None:
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
