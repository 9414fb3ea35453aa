"""Commands about leases: grant, revoke, timetolive, list, keep-alive."""

from cli.kv.flags import Flag, Values, go_int
from cli.kv.session import EXIT_BAD_ARGUMENTS, EXIT_BAD_CONNECTION, fail, session_from, write
from cli.kv.tree import Command
from cli.kv.words import parse_lease
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, LeaseNotFound


def commands() -> list[Command]:
    """The commands of this module."""
    below = [
        Command("grant", "Makes a lease", "<ttl>", _grant),
        Command("revoke", "Ends a lease and deletes its keys", "<leaseID>", _revoke),
        Command(
            "timetolive",
            "Shows what is left of a lease",
            "<leaseID> [options]",
            _time_to_live,
            (Flag("keys", help="also the keys on it"),),
        ),
        Command("list", "Shows all leases", "", _list),
        Command(
            "keep-alive",
            "Renews a lease until it is interrupted",
            "[options] <leaseID>",
            _keep_alive,
            (Flag("once", help="renew once and end"),),
        ),
    ]
    return [Command("lease", "Commands about leases", "<subcommand>", children=below)]


def _grant(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("lease grant command needs TTL argument", EXIT_BAD_ARGUMENTS)
    try:
        seconds = go_int(values.arguments[0])
    except ValueError as error:
        fail(f"bad TTL ({error})", EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        try:
            return session.printer().lease_grant(await client.lease_grant(seconds))
        except ClientError as error:
            fail(f"failed to grant lease ({error.message})")

    session.show(command)


def _revoke(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("lease revoke command needs 1 argument", EXIT_BAD_ARGUMENTS)
    lease = parse_lease(values.arguments[0])
    session = session_from(values)

    async def command(client: Client) -> bytes:
        try:
            return session.printer().lease_revoke(lease, await client.lease_revoke(lease))
        except ClientError as error:
            fail(f"failed to revoke lease ({error.message})")

    session.show(command)


def _time_to_live(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("lease timetolive command needs lease ID as argument", EXIT_BAD_ARGUMENTS)
    lease = parse_lease(values.arguments[0])
    session = session_from(values)

    async def command(client: Client) -> bytes:
        info = await client.lease_time_to_live(lease, with_keys=values["keys"])
        return session.printer().lease_info(info, values["keys"])

    session.show(command)


def _list(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().lease_list(await client.lease_list())

    session.show(command)


def _keep_alive(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("lease keep-alive command needs lease ID as argument", EXIT_BAD_ARGUMENTS)
    lease = parse_lease(values.arguments[0])
    session = session_from(values)

    async def command(client: Client) -> None:
        printer = session.printer()
        while True:
            try:
                alive = await client.lease_keep_alive(lease)
            except LeaseNotFound as error:
                if values["once"]:
                    fail(error.message, EXIT_BAD_CONNECTION)
                if session.form == "simple":
                    write(f"lease {lease:016x} expired or revoked.\n".encode())
                return
            write(printer.lease_alive(alive))
            if values["once"]:
                return
            await client.clock.sleep(alive.ttl / 3)

    session.run(command)
