"""The table: domain error -> (gRPC code, etcd's exact text). The only place that knows codes.

Clients match on these strings, so they are part of the API (etcd's api/v3rpc/rpctypes/error.go). An error that is not
in the table is a bug and becomes Internal in the front.
"""

from kvstore.auth import errors as auth
from kvstore.auth.passwords import TooManyLogins
from kvstore.mvcc import errors as mvcc
from kvstore.raft import replicator as raft
from kvstore.raft.configuration import ChangeRefused
from kvstore.service import errors as service
from kvstore.wire.engine import (
    CODE_NAMES,
    DATA_LOSS,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    WireError,
)

TABLE: dict[type[Exception], tuple[int, str]] = {
    mvcc.Compacted: (OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    mvcc.FutureRevision: (
        OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
    ),
    mvcc.KeyNotFound: (INVALID_ARGUMENT, "etcdserver: key not found"),
    mvcc.DuplicateKey: (INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"),
    mvcc.LeaseNotFound: (NOT_FOUND, "etcdserver: requested lease not found"),
    mvcc.LeaseExists: (FAILED_PRECONDITION, "etcdserver: lease already exists"),
    mvcc.LeaseTTLTooLarge: (OUT_OF_RANGE, "etcdserver: too large lease TTL"),
    mvcc.NoSpace: (RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    mvcc.Corrupt: (DATA_LOSS, "etcdserver: corrupt cluster"),
    # etcd bounds nesting only by its number of operations, hence that text.
    mvcc.TxnTooDeep: (INVALID_ARGUMENT, "etcdserver: too many operations in txn request"),
    raft.NoLeader: (UNAVAILABLE, "etcdserver: no leader"),
    raft.OutcomeUnknown: (UNAVAILABLE, "etcdserver: request timed out"),
    raft.TooManyRequests: (RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
    raft.NotLeader: (FAILED_PRECONDITION, "etcdserver: not leader"),
    # etcd does not map this one either, hence Unknown.
    raft.TransferFailed: (
        UNKNOWN,
        "etcdserver: request timed out, leader transfer took too long",
    ),
    raft.Stopped: (UNAVAILABLE, "etcdserver: server stopped"),
    raft.DamagedData: (DATA_LOSS, "etcdserver: corrupt cluster"),
    service.RequestTooLarge: (INVALID_ARGUMENT, "etcdserver: request is too large"),
    service.MemberNotFound: (NOT_FOUND, "etcdserver: member not found"),
    service.BadLeaderTransferee: (FAILED_PRECONDITION, "etcdserver: bad leader transferee"),
    service.MemberUrlsInvalid: (INVALID_ARGUMENT, "etcdserver: given member URLs are invalid"),
    service.PeerUrlExists: (FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"),
    service.NotLearner: (
        FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member",
    ),
    service.LearnerNotReady: (
        FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    service.MemberExists: (FAILED_PRECONDITION, "etcdserver: member ID already exist"),
    service.TooManyLearners: (
        FAILED_PRECONDITION,
        "etcdserver: too many learner members in cluster",
    ),
    service.NotEnoughStarted: (
        FAILED_PRECONDITION,
        "etcdserver: re-configuration failed due to not enough started members",
    ),
    service.Unhealthy: (UNAVAILABLE, "etcdserver: unhealthy cluster"),
    service.LearnerRefuses: (UNAVAILABLE, "etcdserver: rpc not supported for learner"),
    raft.Removed: (UNAVAILABLE, "etcdserver: server stopped"),
    ChangeRefused: (UNKNOWN, ""),
    service.WrongDowngradeVersionFormat: (
        INVALID_ARGUMENT,
        "etcdserver: wrong downgrade target version format",
    ),
    service.InvalidDowngradeTarget: (
        INVALID_ARGUMENT,
        "etcdserver: invalid downgrade target version",
    ),
    service.DowngradeInProgress: (
        FAILED_PRECONDITION,
        "etcdserver: cluster has a downgrade job in progress",
    ),
    service.NoInflightDowngrade: (
        FAILED_PRECONDITION,
        "etcdserver: no inflight downgrade job",
    ),
    # etcd does not map this one, hence Unknown.
    service.UnknownMethod: (UNKNOWN, "etcdserver: unknown method"),
    service.NotSupported: (UNIMPLEMENTED, ""),
    auth.RootUserNotExist: (FAILED_PRECONDITION, "etcdserver: root user does not exist"),
    auth.RootRoleNotExist: (FAILED_PRECONDITION, "etcdserver: root user does not have root role"),
    auth.UserAlreadyExist: (FAILED_PRECONDITION, "etcdserver: user name already exists"),
    auth.UserEmpty: (INVALID_ARGUMENT, "etcdserver: user name is empty"),
    auth.UserNotFound: (FAILED_PRECONDITION, "etcdserver: user name not found"),
    auth.RoleAlreadyExist: (FAILED_PRECONDITION, "etcdserver: role name already exists"),
    auth.RoleNotFound: (FAILED_PRECONDITION, "etcdserver: role name not found"),
    auth.RoleEmpty: (INVALID_ARGUMENT, "etcdserver: role name is empty"),
    auth.AuthFailed: (
        INVALID_ARGUMENT,
        "etcdserver: authentication failed, invalid user ID or password",
    ),
    auth.PermissionNotGiven: (INVALID_ARGUMENT, "etcdserver: permission not given"),
    auth.PermissionDenied: (PERMISSION_DENIED, "etcdserver: permission denied"),
    auth.RoleNotGranted: (FAILED_PRECONDITION, "etcdserver: role is not granted to the user"),
    auth.PermissionNotGranted: (
        FAILED_PRECONDITION,
        "etcdserver: permission is not granted to the role",
    ),
    auth.AuthNotEnabled: (FAILED_PRECONDITION, "etcdserver: authentication is not enabled"),
    auth.InvalidAuthToken: (UNAUTHENTICATED, "etcdserver: invalid auth token"),
    auth.InvalidAuthMgmt: (INVALID_ARGUMENT, "etcdserver: invalid auth management"),
    auth.AuthOldRevision: (INVALID_ARGUMENT, "etcdserver: revision of auth store is old"),
    # etcd leaves these three to grpc-go, which calls every plain error Unknown.
    auth.NoPasswordUser: (
        UNKNOWN,
        "auth: authentication failed, password was given for no password user",
    ),
    auth.TokenSigning: (UNKNOWN, "auth: token signing attempted with verify-only key"),
    auth.PasswordTooLong: (UNKNOWN, "bcrypt: password length exceeds 72 bytes"),
    TooManyLogins: (RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
}
"""An empty text means the error's own."""

DOMAIN_ERRORS = (
    mvcc.StoreError,
    raft.ReplicationError,
    service.ServiceError,
    auth.AuthError,
    TooManyLogins,
)
"""The trees that the table is total over."""


def to_wire(error: Exception) -> WireError:
    """The status of a domain error. Raises KeyError for any other exception."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            code, text = TABLE[cls]
            return WireError(code, text or str(error))
    raise KeyError(type(error))


def message_of(cls: type[Exception]) -> str:
    """etcd's text of a domain error."""
    return TABLE[cls][1]


CANCEL_REASONS: dict[type[Exception], str] = {
    cls: f"rpc error: code = {CODE_NAMES[TABLE[cls][0]]} desc = {TABLE[cls][1]}"
    for cls in (
        auth.InvalidAuthToken,
        auth.AuthOldRevision,
        auth.UserEmpty,
        auth.PermissionDenied,
    )
}
"""Why a watch was refused, in the words of grpc-go's errors: etcd prints them into the watch's answer."""
