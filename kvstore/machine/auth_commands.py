"""Commands that change who may do what. Same rules as `commands`: frozen, array-like, fields only appended.

Passwords never come here: the proposer hashes them, and checks them at a login, before anything goes into the log.
"""

import msgspec

from kvstore.auth.store import Permission


class AuthEnable(msgspec.Struct, frozen=True, array_like=True, tag="ae"):
    """Begin to enforce. `secret` is random; members sign with it what they forward for a user."""

    secret: bytes


class AuthDisable(msgspec.Struct, frozen=True, array_like=True, tag="ad"):
    """Stop to enforce."""


class Authenticate(msgspec.Struct, frozen=True, array_like=True, tag="aa"):
    """Log `name` in, whose password was right at `auth_revision`.

    `prefix` is the random part of the token to give out; empty = no token that members must remember.
    """

    name: str
    prefix: str
    auth_revision: int


class UserAdd(msgspec.Struct, frozen=True, array_like=True, tag="ua"):
    """A new user; `password` is a bcrypt hash."""

    name: str
    password: bytes = b""
    has_no_password: bool = False


class UserDelete(msgspec.Struct, frozen=True, array_like=True, tag="ud"):
    """Forget a user."""

    name: str


class UserChangePassword(msgspec.Struct, frozen=True, array_like=True, tag="uc"):
    """Another bcrypt hash."""

    name: str
    password: bytes = b""


class UserGrantRole(msgspec.Struct, frozen=True, array_like=True, tag="ug"):
    """Give a role to a user."""

    user: str
    role: str


class UserRevokeRole(msgspec.Struct, frozen=True, array_like=True, tag="ur"):
    """Take a role from a user."""

    name: str
    role: str


class RoleAdd(msgspec.Struct, frozen=True, array_like=True, tag="ra"):
    """A new role."""

    name: str


class RoleDelete(msgspec.Struct, frozen=True, array_like=True, tag="rd"):
    """Forget a role."""

    name: str


class RoleGrantPermission(msgspec.Struct, frozen=True, array_like=True, tag="rg"):
    """Give a permission to a role."""

    name: str
    permission: Permission


class RoleRevokePermission(msgspec.Struct, frozen=True, array_like=True, tag="rr"):
    """Take the permission on exactly this range from a role."""

    name: str
    key: bytes
    range_end: bytes = b""


AuthCommand = (
    AuthEnable
    | AuthDisable
    | Authenticate
    | UserAdd
    | UserDelete
    | UserChangePassword
    | UserGrantRole
    | UserRevokeRole
    | RoleAdd
    | RoleDelete
    | RoleGrantPermission
    | RoleRevokePermission
)
