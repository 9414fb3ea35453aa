"""Users, roles and permissions as replicated state. Pure.

Rules and their order are etcd's (server/auth/store.go of 3.5, read as the specification). Every change adds one to
`revision`; whoever was identified at an older one is asked to log in again before it touches keys. As in etcd that is
not asked for administration, so that a script with one token can make users and roles in a row.

Two instants are kept beside etcd's state: at which revision a user was made or got its password (`User.since`), and at
which authentication was last turned off (`epoch`). A token from before that is worth nothing, whatever it is for:
otherwise a signed token would outlive the user it was made for and come back to life with the next one of that name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import msgspec

from kvstore.auth.errors import (
    AuthError,
    AuthFailed,
    AuthNotEnabled,
    AuthOldRevision,
    InvalidAuthMgmt,
    PermissionDenied,
    PermissionNotGranted,
    RoleAlreadyExist,
    RoleEmpty,
    RoleNotFound,
    RoleNotGranted,
    RootRoleNotExist,
    RootUserNotExist,
    UserAlreadyExist,
    UserEmpty,
    UserNotFound,
)
from kvstore.auth.permissions import READ, READWRITE, WRITE, Intervals, interval

ROOT = "root"
"""The user that must exist, and the role that may do everything."""


class Permission(msgspec.Struct, frozen=True, array_like=True):
    """A grant; `kind` is READ, WRITE or READWRITE."""

    kind: int
    key: bytes
    range_end: bytes = b""


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user. `password` is a bcrypt hash; `since` the revision at which the user was made or its password set."""

    name: str
    password: bytes = b""
    roles: tuple[str, ...] = ()
    has_no_password: bool = False
    since: int = 0


class Role(msgspec.Struct, frozen=True, array_like=True):
    """A role and its grants, in order of their keys."""

    name: str
    permissions: tuple[Permission, ...] = ()


class AuthState(msgspec.Struct, frozen=True, array_like=True):
    """All of it, for snapshots. Fields are only ever appended, with defaults."""

    is_enabled: bool = False
    revision: int = 1
    epoch: int = 0
    secret: bytes = b""
    users: tuple[User, ...] = ()
    roles: tuple[Role, ...] = ()


class Identity(NamedTuple):
    """The user that asks, and the auth revision at which it was identified; 0 = it was not."""

    user: str = ""
    revision: int = 0


NOBODY = Identity()


@dataclass(slots=True)
class _Granted:
    """The merged permissions of one user."""

    read: Intervals
    write: Intervals


class AuthStore:
    """The auth state of one member. Changes return why they were refused, or None."""

    def __init__(self) -> None:
        self.is_enabled = False
        # etcd's first revision: 0 stands for "not identified".
        self.revision = 1
        self.epoch = 0
        self.secret = b""
        """Known to members alone: they sign what they forward for a user with it."""
        self._users: dict[str, User] = {}
        self._roles: dict[str, Role] = {}
        self._granted: dict[str, _Granted] = {}

    @property
    def users(self) -> Mapping[str, User]:
        """By name."""
        return self._users

    @property
    def roles(self) -> Mapping[str, Role]:
        """By name."""
        return self._roles

    def enable(self, secret: bytes) -> AuthError | None:
        """Begin to enforce, with a new secret of the members. Nothing if it is on already."""
        if self.is_enabled:
            return None
        root = self._users.get(ROOT)
        if root is None:
            return RootUserNotExist()
        if ROOT not in root.roles:
            return RootRoleNotExist()
        self.is_enabled = True
        self.secret = secret
        self._granted.clear()
        return None

    def disable(self) -> None:
        """Stop to enforce; every token is void from here on."""
        if not self.is_enabled:
            return
        self.is_enabled = False
        self._changed()
        self.epoch = self.revision

    def check_login(self, name: str, revision: int) -> AuthError | None:
        """Whether a password that was right at `revision` still lets `name` in."""
        if not self.is_enabled:
            return AuthNotEnabled()
        user = self._users.get(name)
        if user is None or user.has_no_password:
            return AuthFailed()
        return None if revision == self.revision else AuthOldRevision()

    def user_add(self, name: str, password: bytes, has_no_password: bool) -> AuthError | None:
        """A new user without roles; `password` is a hash."""
        if not name:
            return UserEmpty()
        if name in self._users:
            return UserAlreadyExist()
        since = self._changed()
        self._users[name] = User(
            name, b"" if has_no_password else password, (), has_no_password, since
        )
        return None

    def user_delete(self, name: str) -> AuthError | None:
        """Forget a user; root stays as long as authentication is on."""
        if self.is_enabled and name == ROOT:
            return InvalidAuthMgmt()
        if self._users.pop(name, None) is None:
            return UserNotFound()
        self._changed()
        return None

    def user_change_password(self, name: str, password: bytes) -> AuthError | None:
        """Another hash; a user without password keeps none, as in etcd."""
        user = self._users.get(name)
        if user is None:
            return UserNotFound()
        since = self._changed()
        self._users[name] = User(
            name, b"" if user.has_no_password else password, user.roles, user.has_no_password, since
        )
        return None

    def user_grant_role(self, name: str, role: str) -> AuthError | None:
        """Give a role; root's need not exist. Giving it twice changes nothing."""
        user = self._users.get(name)
        if user is None:
            return UserNotFound()
        if role != ROOT and role not in self._roles:
            return RoleNotFound()
        if role not in user.roles:
            self._set_roles(user, tuple(sorted((*user.roles, role), key=_by_bytes)))
            self._changed()
        return None

    def user_revoke_role(self, name: str, role: str) -> AuthError | None:
        """Take a role."""
        if self.is_enabled and name == ROOT and role == ROOT:
            return InvalidAuthMgmt()
        user = self._users.get(name)
        if user is None:
            return UserNotFound()
        if role not in user.roles:
            return RoleNotGranted()
        self._set_roles(user, tuple(one for one in user.roles if one != role))
        self._changed()
        return None

    def role_add(self, name: str) -> AuthError | None:
        """A new role without permissions."""
        if not name:
            return RoleEmpty()
        if name in self._roles:
            return RoleAlreadyExist()
        self._roles[name] = Role(name)
        self._changed()
        return None

    def role_delete(self, name: str) -> AuthError | None:
        """Forget a role, and take it from everyone; root's stays as long as authentication is on."""
        if self.is_enabled and name == ROOT:
            return InvalidAuthMgmt()
        if self._roles.pop(name, None) is None:
            return RoleNotFound()
        for user in list(self._users.values()):
            if name in user.roles:
                self._set_roles(user, tuple(one for one in user.roles if one != name))
        self._changed()
        return None

    def role_grant(self, name: str, permission: Permission) -> AuthError | None:
        """Add a permission, or change the kind of the one on exactly this range.

        As in etcd 3.5 the range is not looked at: one that is upside down, or names no key, grants nothing.
        """
        role = self._roles.get(name)
        if role is None:
            return RoleNotFound()
        ranges = [_range_of(one) for one in role.permissions]
        kept = list(role.permissions)
        if _range_of(permission) in ranges:
            kept[ranges.index(_range_of(permission))] = permission
        else:
            # Those of one key stay in the order in which they came.
            kept = sorted([*kept, permission], key=lambda one: one.key)
        self._roles[name] = Role(name, tuple(kept))
        self._changed()
        return None

    def role_revoke(self, name: str, key: bytes, range_end: bytes) -> AuthError | None:
        """Take the permission on exactly this range."""
        role = self._roles.get(name)
        if role is None:
            return RoleNotFound()
        kept = tuple(one for one in role.permissions if _range_of(one) != (key, range_end))
        if len(kept) == len(role.permissions):
            return PermissionNotGranted()
        self._roles[name] = Role(name, kept)
        self._changed()
        return None

    def check_range(
        self, who: Identity, key: bytes, range_end: bytes = b"", *, is_write: bool = False
    ) -> AuthError | None:
        """Why `who` may not read (or write) the range; None if it may."""
        if not self.is_enabled:
            return None
        if who.revision == 0:
            return UserEmpty()
        if who.revision < self.revision:
            return AuthOldRevision()
        user = self._users.get(who.user)
        if user is None:
            return PermissionDenied()
        if ROOT in user.roles:
            return None
        granted = self._granted.get(who.user) or self._merge(user)
        intervals = granted.write if is_write else granted.read
        return None if intervals.covers(key, range_end) else PermissionDenied()

    def check_admin(self, who: Identity) -> AuthError | None:
        """Why `who` may not administer; None if it has the root role."""
        if not self.is_enabled:
            return None
        if not who.user:
            return UserEmpty()
        user = self._users.get(who.user)
        if user is None:
            return UserNotFound()
        if self._is_void(user, who):
            return AuthOldRevision()
        return None if ROOT in user.roles else PermissionDenied()

    def check_user(self, who: Identity) -> AuthError | None:
        """Why `who` is not one of the users at all; None if it is."""
        if not self.is_enabled:
            return None
        if not who.user:
            return UserEmpty()
        user = self._users.get(who.user)
        if user is None:
            return PermissionDenied()
        return AuthOldRevision() if self._is_void(user, who) else None

    def check_user_get(self, who: Identity, name: str) -> AuthError | None:
        """Whether `who` may look at user `name`: root, or the user itself."""
        refusal = self.check_admin(who)
        if refusal is not None and name == who.user and self.check_user(who) is None:
            return None
        return refusal

    def check_role_get(self, who: Identity, name: str) -> AuthError | None:
        """Whether `who` may look at role `name`: root, or who has it."""
        refusal = self.check_admin(who)
        user = self._users.get(who.user)
        if refusal is not None and user is not None and name in user.roles:
            return self.check_user(who)
        return refusal

    def state(self) -> AuthState:
        """A copy for a snapshot."""
        return AuthState(
            self.is_enabled,
            self.revision,
            self.epoch,
            self.secret,
            tuple(self._users[name] for name in sorted(self._users, key=_by_bytes)),
            tuple(self._roles[name] for name in sorted(self._roles, key=_by_bytes)),
        )

    def adopt(self, state: AuthState) -> None:
        """Become what a snapshot says."""
        self.is_enabled = state.is_enabled
        self.revision = state.revision
        self.epoch = state.epoch
        self.secret = state.secret
        self._users = {user.name: user for user in state.users}
        self._roles = {role.name: role for role in state.roles}
        self._granted.clear()

    def digest(self) -> int:
        """A 32-bit hash of the whole state; equal on all members that applied the same entries."""
        return crc32(msgspec.msgpack.encode(self.state()))

    def check_invariants(self) -> None:
        """Raise AssertionError on an impossible state."""
        assert self.revision >= 1
        assert self.epoch <= self.revision
        for name, user in self._users.items():
            assert user.name == name != ""
            assert user.since <= self.revision
            assert list(user.roles) == sorted(set(user.roles), key=_by_bytes)
            assert not (user.has_no_password and user.password)
            missing = [role for role in user.roles if role not in self._roles and role != ROOT]
            assert not missing, f"{name} has roles that do not exist: {missing}"
        for name, role in self._roles.items():
            assert role.name == name != ""
            ranges = [_range_of(one) for one in role.permissions]
            assert [key for key, _ in ranges] == sorted(key for key, _ in ranges)
            assert len(ranges) == len(set(ranges))
        if self.is_enabled:
            assert ROOT in self._users[ROOT].roles
            assert self.secret

    def _changed(self) -> int:
        self.revision += 1
        self._granted.clear()
        return self.revision

    def _set_roles(self, user: User, roles: tuple[str, ...]) -> None:
        self._users[user.name] = msgspec.structs.replace(user, roles=roles)

    def _is_void(self, user: User, who: Identity) -> bool:
        return who.revision < max(user.since, self.epoch)

    def _merge(self, user: User) -> _Granted:
        grants = [
            one
            for role in user.roles
            if role in self._roles
            for one in self._roles[role].permissions
        ]
        granted = _Granted(
            # A kind that etcd does not know grants nothing there either.
            _intervals(one for one in grants if one.kind in (READ, READWRITE)),
            _intervals(one for one in grants if one.kind in (WRITE, READWRITE)),
        )
        self._granted[user.name] = granted
        return granted


def _intervals(grants: Iterable[Permission]) -> Intervals:
    return Intervals(interval(one.key, one.range_end) for one in grants)


def _by_bytes(name: str) -> bytes:
    """etcd's order of names."""
    return name.encode()


def _range_of(permission: Permission) -> tuple[bytes, bytes]:
    return permission.key, permission.range_end
