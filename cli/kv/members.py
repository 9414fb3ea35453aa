"""Commands about members: member add, remove, update, promote, list; move-leader."""

from cli.kv.flags import Flag, Values, go_int
from cli.kv.session import EXIT_BAD_ARGUMENTS, fail, session_from
from cli.kv.tree import Command
from kvstore.client.client import Client
from kvstore.client.errors import ClientError

_PEER_URLS = Flag("peer-urls", "string", "", "URLs of the member for the other members")
_SCHEMES = ("http", "https", "unix", "unixs")


def commands() -> list[Command]:
    """The commands of this module."""
    learner = Flag("learner", help="without a vote at first")
    below = [
        Command("add", "Adds a member", "<memberName> [options]", _add, (learner, _PEER_URLS)),
        Command("remove", "Removes a member", "<memberID>", _remove),
        Command(
            "update", "Changes a member's URLs", "<memberID> [options]", _update, (_PEER_URLS,)
        ),
        Command("promote", "Gives a learner a vote", "<memberID>", _promote),
        Command("list", "Shows all members", "", _list),
    ]
    return [
        Command("member", "Commands about members", "<subcommand>", children=below),
        Command(
            "move-leader", "Hands leadership to another member", "<transferee-member-id>", _move
        ),
    ]


def _id(values: Values) -> int:
    if len(values.arguments) != 1:
        fail("member ID is not provided", EXIT_BAD_ARGUMENTS)
    try:
        return go_int(values.arguments[0], base=16, signed=False)
    except ValueError as error:
        fail(f"bad member ID arg ({error}), expecting ID in Hex", EXIT_BAD_ARGUMENTS)


def _peer_urls(values: Values) -> list[str]:
    if not values["peer-urls"]:
        fail("member peer urls not provided", EXIT_BAD_ARGUMENTS)
    urls = [one.strip() for one in values["peer-urls"].split(",")]
    for url in urls:
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in _SCHEMES:
            fail(f"URL scheme must be http, https, unix, or unixs: {url}")
        host, _, path = rest.partition("/")
        if scheme in ("http", "https") and ":" not in host:
            fail(f'URL address does not have the form "host:port": {url}')
        if scheme in ("http", "https") and path:
            fail(f"URL must not contain a path: {url}")
    # etcd keeps them sorted.
    return sorted(urls)


def _add(values: Values) -> None:
    if not values.arguments:
        fail("member name not provided", EXIT_BAD_ARGUMENTS)
    if len(values.arguments) > 1:
        hint = ""
        if any(one.startswith("http") for one in values.arguments[1:]):
            hint = ", did you mean --peer-urls=" + values.arguments[1]
        fail("too many arguments" + hint, EXIT_BAD_ARGUMENTS)
    name, urls = values.arguments[0], _peer_urls(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.member_add(urls, is_learner=values["learner"])
        return session.printer().member_add(result, name)

    session.show(command)


def _remove(values: Values) -> None:
    member = _id(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().member_remove(member, await client.member_remove(member))

    session.show(command)


def _update(values: Values) -> None:
    member = _id(values)
    urls = _peer_urls(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.member_update(member, urls)
        return session.printer().member_changed(member, "updated", result)

    session.show(command)


def _promote(values: Values) -> None:
    member = _id(values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.member_promote(member)
        return session.printer().member_changed(member, "promoted", result)

    session.show(command)


def _list(values: Values) -> None:
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().member_list(await client.member_list())

    session.show(command)


def _move(values: Values) -> None:
    if len(values.arguments) != 1:
        fail("move-leader command needs 1 argument", EXIT_BAD_ARGUMENTS)
    try:
        target = go_int(values.arguments[0], base=16, signed=False)
    except ValueError as error:
        fail(str(error), EXIT_BAD_ARGUMENTS)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        for endpoint in session.endpoints:
            try:
                status = await client.status(endpoint)
            except ClientError as error:
                fail(error.message)
            if status.is_leader:
                result = await client.move_leader(target)
                return session.printer().move_leader(status.leader, target, result)
        fail(f"no leader endpoint found at {list(session.endpoints)}".replace("'", ""))

    session.show(command)
