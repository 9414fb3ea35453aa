"""Commands on users and roles applied: from command to reply and effects."""

from kvstore.auth.errors import AuthError
from kvstore.auth.store import AuthStore
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
from kvstore.machine.outcome import (
    AuthenticateReply,
    AuthReply,
    Effect,
    TokenAssigned,
    TokensVoid,
)

_REPLY = AuthReply()

_Result = tuple[AuthReply | AuthenticateReply | AuthError, tuple[Effect, ...]]


def apply_auth(auth: AuthStore, command: AuthCommand, index: int) -> _Result:
    """Do `command`, which is allowed, at log index `index`; a refusal changes nothing."""
    if isinstance(command, Authenticate):
        return _authenticate(auth, command, index)
    refusal = _change(auth, command)
    if refusal is not None:
        return refusal, ()
    if isinstance(command, UserDelete | UserChangePassword):
        return _REPLY, (TokensVoid(command.name),)
    return _REPLY, (TokensVoid(),) if isinstance(command, AuthDisable) else ()


def _authenticate(auth: AuthStore, command: Authenticate, index: int) -> _Result:
    refusal = auth.check_login(command.name, command.auth_revision)
    if refusal is not None:
        return refusal, ()
    if not command.prefix:
        return AuthenticateReply("", auth.revision), ()
    # Compat: etcd's form. A member that is shown the token reads from it which index it must have applied first.
    token = f"{command.prefix}.{index}"
    return AuthenticateReply(token, auth.revision), (TokenAssigned(token, command.name),)


def _change(auth: AuthStore, command: AuthCommand) -> AuthError | None:
    match command:
        case AuthEnable():
            return auth.enable(command.secret)
        case AuthDisable():
            auth.disable()
            return None
        case UserAdd():
            return auth.user_add(command.name, command.password, command.has_no_password)
        case UserDelete():
            return auth.user_delete(command.name)
        case UserChangePassword():
            return auth.user_change_password(command.name, command.password)
        case UserGrantRole():
            return auth.user_grant_role(command.user, command.role)
        case UserRevokeRole():
            return auth.user_revoke_role(command.name, command.role)
        case RoleAdd():
            return auth.role_add(command.name)
        case RoleDelete():
            return auth.role_delete(command.name)
        case RoleGrantPermission():
            return auth.role_grant(command.name, command.permission)
        case RoleRevokePermission():
            return auth.role_revoke(command.name, command.key, command.range_end)
        case Authenticate():
            raise ValueError("a login changes nothing")
