"""Users, roles, logins and the switch.

Passwords are hashed and checked here, before anything is proposed: the log and the state machine never see one. A
login is checked against the hash this member knows, and the entry that hands the token out says at which auth revision
that was: if users changed in between, the check is made anew (etcd does the same, since CVE-2021-28235 without the
password in the log). What only reads waits for a read index instead of going through the log as etcd's does; whoever
asks sees no difference.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence

from kvstore.auth.errors import (
    AuthError,
    AuthFailed,
    AuthNotEnabled,
    AuthOldRevision,
    NoPasswordUser,
    RoleNotFound,
    UserNotFound,
)
from kvstore.auth.passwords import Passwords
from kvstore.auth.store import AuthStore, Permission
from kvstore.auth.tokens import SimpleTokens, Tokens
from kvstore.base.log import get_logger
from kvstore.machine.auth_commands import (
    AuthCommand,
    AuthDisable,
    AuthEnable,
    Authenticate,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)
from kvstore.machine.outcome import AuthenticateReply, Outcome, TokenAssigned, TokensVoid
from kvstore.service.guard import Caller, Guard
from kvstore.service.proposer import Proposer

log = get_logger("kvstore.service.auth")

_SECRET_BYTES = 32
_LOGIN_TRIES = 10
"""Users would have to change that often during one login to make it fail."""


class TokenTable:
    """Keeps simple tokens as the log says. The node calls it after each applied entry and each restored snapshot."""

    def __init__(self, auth: AuthStore, tokens: Tokens) -> None:
        self._auth = auth
        self._tokens = tokens if isinstance(tokens, SimpleTokens) else None
        self._was_enabled = False

    def on_applied(self, outcomes: Sequence[Outcome]) -> None:
        """Follow logins and what makes tokens void. Never raises."""
        tokens = self._tokens
        if tokens is None or not (self._auth.is_enabled or self._was_enabled):
            return
        self._was_enabled = self._auth.is_enabled
        for outcome in outcomes:
            for effect in outcome.effects:
                if isinstance(effect, TokenAssigned):
                    tokens.assign(effect.token, effect.user)
                elif isinstance(effect, TokensVoid):
                    tokens.forget(effect.user)
        tokens.on_progress()

    def on_restore(self) -> None:
        """Forget all: what happened on the way to this state, and made tokens void, was not seen."""
        if self._tokens is not None:
            self._tokens.forget()
            self._tokens.on_progress()
        self._was_enabled = self._auth.is_enabled


class AuthService:
    """The use cases of etcdserverpb.Auth. All raise AuthError, ReplicationError or TooManyLogins."""

    def __init__(
        self,
        auth: AuthStore,
        proposer: Proposer,
        guard: Guard,
        tokens: Tokens,
        passwords: Passwords,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._auth = auth
        self._proposer = proposer
        self._guard = guard
        self._tokens = tokens
        self._passwords = passwords
        self._random_bytes = random_bytes

    async def enable(self, caller: Caller | None) -> int:
        """Begin to enforce; the revision. Raises RootUserNotExist, RootRoleNotExist."""
        return await self._change(AuthEnable(self._random_bytes(_SECRET_BYTES)), caller)

    async def disable(self, caller: Caller | None) -> int:
        """Stop to enforce; the revision."""
        return await self._change(AuthDisable(), caller)

    async def status(self, caller: Caller | None) -> tuple[bool, int]:
        """(is on, auth revision)."""
        await self._admin(caller)
        return self._auth.is_enabled, self._auth.revision

    async def authenticate(self, name: str, password: str) -> tuple[str, int]:
        """A token for `name`, and the store's revision. Raises AuthNotEnabled, AuthFailed, NoPasswordUser."""
        await self._proposer.confirm_read()
        for _ in range(_LOGIN_TRIES):
            if not self._auth.is_enabled:
                raise AuthNotEnabled
            user, revision = self._auth.users.get(name), self._auth.revision
            if user is not None and user.has_no_password:
                raise NoPasswordUser
            if user is None or not await self._passwords.matches(user.password, password):
                log.warning("login refused", user=name[:256])
                raise AuthFailed
            try:
                outcome = await self._proposer.submit(
                    Authenticate(name, self._tokens.new_prefix(), revision)
                )
            except AuthOldRevision:
                # Users changed meanwhile, maybe this one: look again.
                continue
            reply = outcome.reply
            if not isinstance(reply, AuthenticateReply):
                raise TypeError(f"a login yielded {reply!r}")
            token = reply.token or self._tokens.issue(name, reply.auth_revision)
            return token, outcome.revision
        raise AuthOldRevision

    async def user_add(
        self,
        name: str,
        password: str,
        *,
        has_no_password: bool,
        caller: Caller | None,
    ) -> int:
        """A new user; the revision. Raises UserEmpty, UserAlreadyExist, PasswordTooLong."""
        await self._admin(caller)
        hashed = b"" if has_no_password else await self._passwords.hash(password)
        return await self._change(UserAdd(name, hashed, has_no_password), caller)

    async def user_change_password(
        self, name: str, password: str, hashed_password: str, caller: Caller | None
    ) -> int:
        """Another password, or its hash in base64; the revision. Raises UserNotFound, PasswordTooLong."""
        await self._admin(caller)
        if password:
            hashed = await self._passwords.hash(password)
        else:
            try:
                hashed = base64.b64decode(hashed_password, validate=True)
            except binascii.Error as error:
                if name not in self._auth.users:
                    raise UserNotFound from error
                raise NoPasswordUser from error
        return await self._change(UserChangePassword(name, hashed), caller)

    async def user_delete(self, name: str, caller: Caller | None) -> int:
        """Forget a user; the revision. Raises InvalidAuthMgmt, UserNotFound."""
        return await self._change(UserDelete(name), caller)

    async def user_grant_role(self, name: str, role: str, caller: Caller | None) -> int:
        """Give a role; the revision. Raises UserNotFound, RoleNotFound."""
        return await self._change(UserGrantRole(name, role), caller)

    async def user_revoke_role(self, name: str, role: str, caller: Caller | None) -> int:
        """Take a role; the revision. Raises InvalidAuthMgmt, UserNotFound, RoleNotGranted."""
        return await self._change(UserRevokeRole(name, role), caller)

    async def user_get(self, name: str, caller: Caller | None) -> tuple[str, ...]:
        """The roles of a user; for root, or the user itself. Raises UserNotFound."""
        await self._proposer.confirm_read()
        if self._guard.is_enabled:
            _raise(self._auth.check_user_get(await self._guard.identify(caller), name))
        user = self._auth.users.get(name)
        if user is None:
            raise UserNotFound
        return user.roles

    async def user_list(self, caller: Caller | None) -> list[str]:
        """All users."""
        await self._admin(caller)
        return sorted(self._auth.users, key=str.encode)

    async def role_add(self, name: str, caller: Caller | None) -> int:
        """A new role; the revision. Raises RoleEmpty, RoleAlreadyExist."""
        return await self._change(RoleAdd(name), caller)

    async def role_delete(self, name: str, caller: Caller | None) -> int:
        """Forget a role; the revision. Raises InvalidAuthMgmt, RoleNotFound."""
        return await self._change(RoleDelete(name), caller)

    async def role_grant(self, name: str, permission: Permission, caller: Caller | None) -> int:
        """Give a permission; the revision. Raises RoleNotFound, InvalidAuthMgmt."""
        return await self._change(RoleGrantPermission(name, permission), caller)

    async def role_revoke(
        self, name: str, key: bytes, range_end: bytes, caller: Caller | None
    ) -> int:
        """Take a permission; the revision. Raises RoleNotFound, PermissionNotGranted."""
        return await self._change(RoleRevokePermission(name, key, range_end), caller)

    async def role_get(self, name: str, caller: Caller | None) -> tuple[Permission, ...]:
        """The permissions of a role; for root, or who has the role. Raises RoleNotFound."""
        await self._proposer.confirm_read()
        if self._guard.is_enabled:
            _raise(self._auth.check_role_get(await self._guard.identify(caller), name))
        role = self._auth.roles.get(name)
        if role is None:
            raise RoleNotFound
        return role.permissions

    async def role_list(self, caller: Caller | None) -> list[str]:
        """All roles."""
        await self._admin(caller)
        return sorted(self._auth.roles, key=str.encode)

    async def _change(self, command: AuthCommand, caller: Caller | None) -> int:
        return (await self._proposer.submit(command, caller)).revision

    async def _admin(self, caller: Caller | None) -> None:
        await self._proposer.confirm_read()
        await self._guard.require_admin(caller)


def _raise(refusal: AuthError | None) -> None:
    if refusal is not None:
        raise refusal
