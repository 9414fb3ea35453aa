"""What authentication and authorization can refuse, as values.

    AuthError
    ├── AuthNotEnabled        a login while authentication is off
    ├── AuthFailed            no such user, or another password
    ├── NoPasswordUser        a password for a user who has none
    ├── PasswordTooLong       more than bcrypt takes
    ├── InvalidAuthToken      a token that nobody gave out, or whose time is up
    ├── AuthOldRevision       the caller was identified before users or roles changed
    ├── PermissionDenied      known, but not allowed
    ├── InvalidAuthMgmt       would take root's powers away
    ├── RootUserNotExist      authentication cannot begin without root
    ├── RootRoleNotExist      ... nor with a root that has not the root role
    ├── UserEmpty             no name, also: no credentials at all
    ├── UserNotFound, UserAlreadyExist
    ├── RoleEmpty, RoleNotFound, RoleAlreadyExist
    ├── RoleNotGranted        to be taken from a user who has not got it
    ├── PermissionNotGranted  to be taken from a role that has not got it
    ├── PermissionNotGiven    a grant that names no permission
    └── TokenSigning          this member has no private key to sign with

Those of the state machine travel inside replies; the service layer raises them, `kvstore/server/errors.py` alone knows
their wire form.
"""


class AuthError(Exception):
    """Base of all refusals. `retryable` is whether the same call may succeed later, with the same credentials."""

    retryable = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == getattr(other, "args", None)

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class AuthNotEnabled(AuthError):
    """Authentication is off."""


class AuthFailed(AuthError):
    """Unknown user or wrong password; which of the two is not told."""


class NoPasswordUser(AuthError):
    """The user has no password, by choice."""


class PasswordTooLong(AuthError):
    """bcrypt takes 72 bytes."""


class InvalidAuthToken(AuthError):
    """The token says nothing."""


class AuthOldRevision(AuthError):
    """Users or roles changed since the caller was identified; logging in again helps."""

    retryable = True


class PermissionDenied(AuthError):
    """Known, but not allowed."""


class InvalidAuthMgmt(AuthError):
    """A change of users or roles that would lock everybody out."""


class RootUserNotExist(AuthError):
    """There is no user `root`."""


class RootRoleNotExist(AuthError):
    """The user `root` has not the role `root`."""


class UserEmpty(AuthError):
    """No user name, or no credentials."""


class UserNotFound(AuthError):
    """No such user."""


class UserAlreadyExist(AuthError):
    """The name is taken."""


class RoleEmpty(AuthError):
    """No role name."""


class RoleNotFound(AuthError):
    """No such role."""


class RoleAlreadyExist(AuthError):
    """The name is taken."""


class RoleNotGranted(AuthError):
    """The user has not got this role."""


class PermissionNotGranted(AuthError):
    """The role has no permission on exactly this range."""


class PermissionNotGiven(AuthError):
    """The request names no permission."""


class TokenSigning(AuthError):
    """Tokens can be checked here but not made: only the public key is known."""
