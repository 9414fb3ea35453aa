"""Commands about users and roles: auth enable, disable, status; user ...; role ..."""

import os
import sys

from cli.kv.flags import Flag, Values
from cli.kv.session import (
    EXIT_BAD_ARGUMENTS,
    Session,
    ask_password,
    fail,
    session_from,
    write,
)
from cli.kv.tree import Command
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, FailedPrecondition
from kvstore.client.ops import prefix_end
from kvstore.client.types import PermissionType

_PREFIX = Flag("prefix", help="all keys that begin with the key")
_FROM_KEY = Flag("from-key", help="all keys from the key on")
_INTERACTIVE = Flag("interactive", default=True, help="ask for the password on the terminal")


def commands() -> list[Command]:
    """The commands of this module."""
    no_password = Flag("no-password", help="a user known by its certificate only")
    new_password = Flag("new-user-password", "string", "", "the password of the new user")
    auth = [
        Command("enable", "Switches authentication on", "", _enable),
        Command("disable", "Switches authentication off", "", _disable),
        Command("status", "Says whether authentication is on", "", _auth_status),
    ]
    user = [
        Command(
            "add",
            "Adds a user",
            "<user name or user:password> [options]",
            _user_add,
            (_INTERACTIVE, new_password, no_password),
        ),
        Command("delete", "Removes a user", "<user name>", _user_delete),
        Command(
            "get",
            "Shows the roles of a user",
            "<user name> [options]",
            _user_get,
            (Flag("detail", help="also the permissions of these roles"),),
        ),
        Command("list", "Shows all users", "", _user_list),
        Command("passwd", "Changes a user's password", "<user name>", _passwd, (_INTERACTIVE,)),
        Command("grant-role", "Gives a user a role", "<user name> <role name>", _grant_role),
        Command("revoke-role", "Takes a role from a user", "<user name> <role name>", _revoke_role),
    ]
    grant = "[options] <role name> <permission type> <key> [endkey]"
    role = [
        Command("add", "Adds a role", "<role name>", _role_add),
        Command("delete", "Removes a role", "<role name>", _role_delete),
        Command("get", "Shows what a role may do", "<role name>", _role_get),
        Command("list", "Shows all roles", "", _role_list),
        Command(
            "grant-permission",
            "Gives a role a right on keys",
            grant,
            _grant_permission,
            (_FROM_KEY, _PREFIX),
        ),
        Command(
            "revoke-permission",
            "Takes a right on keys from a role",
            "<role name> <key> [endkey]",
            _revoke_permission,
            (_FROM_KEY, _PREFIX),
        ),
    ]
    return [
        Command("auth", "Authentication on or off", "<enable or disable>", children=auth),
        Command("user", "Commands about users", "<subcommand>", children=user),
        Command("role", "Commands about roles", "<subcommand>", children=role),
    ]


def _words(values: Values, count: int, sentence: str) -> list[str]:
    if len(values.arguments) != count:
        fail(sentence, EXIT_BAD_ARGUMENTS)
    return values.arguments


def _no_words(values: Values, command: str) -> None:
    if values.arguments:
        fail(f"{command} command does not accept any arguments", EXIT_BAD_ARGUMENTS)


def _enable(values: Values) -> None:
    _no_words(values, "auth enable")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        try:
            await client.auth_enable()
        except FailedPrecondition as error:
            if "root user does not have root role" not in error.message:
                raise
            # As etcdctl does: the role is made where it is missing.
            try:
                await client.role_add("root")
            except FailedPrecondition as again:
                if "already exists" not in again.message:
                    raise
            await client.user_grant_role("root", "root")
            await client.auth_enable()
        return b"Authentication Enabled\n"

    session.show(command)


def _disable(values: Values) -> None:
    _no_words(values, "auth disable")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        await client.auth_disable()
        return b"Authentication Disabled\n"

    session.show(command)


def _auth_status(values: Values) -> None:
    _no_words(values, "auth status")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().auth_status(await client.auth_status())

    session.show(command)


def _new_password(name: str, values: Values) -> str:
    if not values["interactive"]:
        return sys.stdin.readline().strip()
    first = ask_password(f"Password of {name}: ")
    if not first:
        fail("empty password", EXIT_BAD_ARGUMENTS)
    if ask_password(f"Type password of {name} again for confirmation: ") != first:
        fail("Different passwords were provided", EXIT_BAD_ARGUMENTS)
    return first


def _user_add(values: Values) -> None:
    (word,) = _words(values, 1, "user add command requires user name as its argument")
    name, colon, password = word.partition(":")
    if values["new-user-password"]:
        name, password = word, values["new-user-password"]
    elif values["no-password"]:
        name, password = word, ""
    elif colon:
        if not name:
            fail("empty user name is not allowed", EXIT_BAD_ARGUMENTS)
    else:
        password = _new_password(name, values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.user_add(name, password, no_password=values["no-password"])
        return session.printer().confirmed(f"User {name} created", result)

    session.show(command)


def _user_delete(values: Values) -> None:
    (name,) = _words(values, 1, "user delete command requires user name as its argument")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().confirmed(f"User {name} deleted", await client.user_delete(name))

    session.show(command)


def _user_get(values: Values) -> None:
    (name,) = _words(values, 1, "user get command requires user name as its argument")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.user_get(name)
        if not values["detail"]:
            return session.printer().user(name, result)
        write(f"User: {name}\n".encode())
        for role in result.roles:
            write(b"\n")
            write(session.printer().role(role, await client.role_get(role)))
        return b""

    session.show(command)


def _user_list(values: Values) -> None:
    _words(values, 0, "user list command requires no arguments")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().users(await client.user_list())

    session.show(command)


def _passwd(values: Values) -> None:
    (name,) = _words(values, 1, "user passwd command requires user name as its argument")
    password = _new_password(name, values)
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.user_change_password(name, password)
        return session.printer().confirmed("Password updated", result)

    session.show(command)


def _grant_role(values: Values) -> None:
    name, role = _words(
        values, 2, "user grant command requires user name and role name as its argument"
    )
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.user_grant_role(name, role)
        return session.printer().confirmed(f"Role {role} is granted to user {name}", result)

    session.show(command)


def _revoke_role(values: Values) -> None:
    name, role = _words(
        values, 2, "user revoke-role requires user name and role name as its argument"
    )
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.user_revoke_role(name, role)
        return session.printer().confirmed(f"Role {role} is revoked from user {name}", result)

    session.show(command)


def _role_add(values: Values) -> None:
    (name,) = _words(values, 1, "role add command requires role name as its argument")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().confirmed(f"Role {name} created", await client.role_add(name))

    session.show(command)


def _role_delete(values: Values) -> None:
    (name,) = _words(values, 1, "role delete command requires role name as its argument")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().confirmed(f"Role {name} deleted", await client.role_delete(name))

    session.show(command)


def _role_get(values: Values) -> None:
    (name,) = _words(values, 1, "role get command requires role name as its argument")
    session: Session = session_from(values)

    async def command(client: Client) -> bytes:
        try:
            return session.printer().role(name, await client.role_get(name))
        except ClientError as error:
            fail(error.message)

    session.show(command)


def _role_list(values: Values) -> None:
    _words(values, 0, "role list command requires no arguments")
    session = session_from(values)

    async def command(client: Client) -> bytes:
        return session.printer().roles(await client.role_list())

    session.show(command)


def _key_range(values: Values, words: list[str]) -> tuple[bytes, bytes]:
    """Key and end of `<key> [endkey]`."""
    if values["prefix"] and values["from-key"]:
        fail("--from-key and --prefix flags are mutually exclusive", EXIT_BAD_ARGUMENTS)
    key = os.fsencode(words[0])
    flag = next((one for one in ("prefix", "from-key") if values[one]), "")
    if flag and len(words) > 1:
        fail(f"unexpected endkey argument with --{flag} flag", EXIT_BAD_ARGUMENTS)
    if flag and not key:
        return b"\0", b"\0"
    if flag:
        return key, prefix_end(key) if flag == "prefix" else b"\0"
    return key, os.fsencode(words[1]) if len(words) > 1 else b""


def _grant_permission(values: Values) -> None:
    words = values.arguments
    if len(words) < 3:
        fail(
            "role grant command requires role name, permission type, and key [endkey] as its argument",
            EXIT_BAD_ARGUMENTS,
        )
    name, kind = words[0], words[1].upper()
    if kind not in PermissionType.__members__:
        fail(f"invalid permission type: {words[1]}", EXIT_BAD_ARGUMENTS)
    key, end = _key_range(values, words[2:])
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.role_grant_permission(name, PermissionType[kind], key, end)
        return session.printer().confirmed(f"Role {name} updated", result)

    session.show(command)


def _revoke_permission(values: Values) -> None:
    words = values.arguments
    if len(words) < 2:
        fail(
            "role revoke-permission command requires role name and key [endkey] as its argument",
            EXIT_BAD_ARGUMENTS,
        )
    name = words[0]
    key, end = _key_range(values, words[1:])
    if not end:
        what = f"key {os.fsdecode(key)}"
    elif end == b"\0":
        what = f"range [{os.fsdecode(key)}, <open ended>"
    else:
        what = f"range [{os.fsdecode(key)}, {os.fsdecode(end)})"
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.role_revoke_permission(name, key, end)
        return session.printer().confirmed(
            f"Permission of {what} is revoked from role {name}", result
        )

    session.show(command)
