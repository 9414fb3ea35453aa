"""What can go wrong at the client, by meaning.

    ClientError
      Unavailable            no member could serve it now
        NotConnected         no connection was made: surely not executed
        NoLeader             refused before it was proposed
        LeaderChanged        a read lost its leader
        ServerTimedOut       the member gave up waiting; a write may still happen
        NotServedHere        a learner, or a member that is too old: refused before it was proposed
      DeadlineExceeded       our own deadline passed; a write may still happen
      TooManyRequests        refused before it was proposed
      Compacted  FutureRevision
      LeaseNotFound  LeaseExists  LeaseTtlTooLarge
      KeyNotFound  EmptyKey  DuplicateKey  TooManyOperations  RequestTooLarge  InvalidArgument
      NoSpace  Corrupt
      MemberNotFound  NotLeader  FailedPrecondition
      Unauthenticated        who asks is not known
        InvalidToken         the token expired, or the member never knew it: the client gets a new one by itself
        AuthenticationFailed wrong user or password
      AuthNotEnabled  PermissionDenied  Unimplemented
      NotTheOwner            a lock or a leadership that has passed to somebody else
      WatchCancelled         the server ended a watch for another reason than compaction
      ClientClosed  UnknownError

`retryable`: the same request may succeed later. `outcome_known`: the request surely did not take effect; where it is
False a write may have happened, may happen still, or may not. The table from gRPC code and etcd's message to class is
here and nowhere else; messages are those of etcd 3.5's api/v3rpc/rpctypes.
"""

import re
from typing import ClassVar

import grpc

from kvstore.client.types import Header


class ClientError(Exception):
    """Base of all errors of this client."""

    default_retryable: ClassVar[bool] = False
    default_outcome_known: ClassVar[bool] = True

    def __init__(
        self, message: str, *, endpoint: str = "", outcome_known: bool | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.endpoint = endpoint
        self.retryable = self.default_retryable
        self.outcome_known = self.default_outcome_known if outcome_known is None else outcome_known
        # That of the message in which a server ended a watch; None for all other errors.
        self.header: Header | None = None


class Unavailable(ClientError):
    """No member could serve the request; unless a subclass knows better, a write may have happened."""

    default_retryable = True
    default_outcome_known = False


class NotConnected(Unavailable):
    """No connection could be made, so nothing was sent."""

    default_outcome_known = True


class NoLeader(Unavailable):
    """The member knows no leader and refused."""

    default_outcome_known = True


class LeaderChanged(Unavailable):
    """Leadership moved while the request waited."""


class ServerTimedOut(Unavailable):
    """The member waited for the cluster in vain."""


class NotServedHere(Unavailable):
    """A learner or an old member does not serve this; another one may."""

    default_outcome_known = True


class DeadlineExceeded(ClientError):
    """The client's deadline passed."""

    default_retryable = True
    default_outcome_known = False


class TooManyRequests(ClientError):
    """The member has too much to do and refused."""

    default_retryable = True


class Compacted(ClientError):
    """The revision asked for is gone; `compact_revision` (0: not told) is the oldest that is left."""

    def __init__(self, message: str, *, compact_revision: int = 0, endpoint: str = "") -> None:
        super().__init__(message, endpoint=endpoint)
        self.compact_revision = compact_revision


class FutureRevision(ClientError):
    """The revision asked for does not exist yet."""


class LeaseNotFound(ClientError):
    """No such lease: never granted, revoked or expired."""


class LeaseExists(ClientError):
    """The id is taken by another lease."""


class LeaseTtlTooLarge(ClientError):
    """The server does not grant so long a lease."""


class KeyNotFound(ClientError):
    """ignore_value or ignore_lease on a key that does not exist."""


class EmptyKey(ClientError):
    """A request without key."""


class DuplicateKey(ClientError):
    """One transaction would write the same key twice."""


class TooManyOperations(ClientError):
    """A transaction with more operations than the server takes."""


class RequestTooLarge(ClientError):
    """A request with more bytes than the server takes."""


class InvalidArgument(ClientError):
    """Refused as malformed."""


class NoSpace(ClientError):
    """The store is over its quota; only deletions and compaction are served."""


class Corrupt(ClientError):
    """A member's data differs from the others'."""


class MemberNotFound(ClientError):
    """No such member."""


class NotLeader(ClientError):
    """Only the leader can do it, and the member asked is not."""

    default_retryable = True


class FailedPrecondition(ClientError):
    """The state of the cluster forbids it."""


class Unauthenticated(ClientError):
    """The server does not know who asks."""


class InvalidToken(Unauthenticated):
    """No token, an expired one, or one from before users and roles changed."""


class AuthenticationFailed(Unauthenticated):
    """Wrong user or password."""


class AuthNotEnabled(FailedPrecondition):
    """Authentication is off, so there is nothing to log in to."""


class PermissionDenied(ClientError):
    """The server knows who asks, and refuses."""


class Unimplemented(ClientError):
    """The server does not offer this."""


class WatchCancelled(ClientError):
    """The server ended the watch; the message is its reason."""


class NotTheOwner(ClientError):
    """The lock or the leadership was lost; whoever holds it now must not be disturbed."""


class ClientClosed(ClientError):
    """The client was closed."""


class UnknownError(ClientError):
    """Anything the tables do not know; a write may have happened."""

    default_outcome_known = False


# Longer messages first where one begins with another: matching is by prefix.
_BY_MESSAGE: tuple[tuple[str, type[ClientError]], ...] = (
    ("etcdserver: mvcc: required revision has been compacted", Compacted),
    ("etcdserver: mvcc: required revision is a future revision", FutureRevision),
    ("etcdserver: mvcc: database space exceeded", NoSpace),
    ("etcdserver: no leader", NoLeader),
    ("etcdserver: not leader", NotLeader),
    ("etcdserver: leader changed", LeaderChanged),
    ("etcdserver: request timed out", ServerTimedOut),
    ("etcdserver: too many requests", TooManyRequests),
    ("etcdserver: request is too large", RequestTooLarge),
    ("etcdserver: too many operations in txn request", TooManyOperations),
    ("etcdserver: duplicate key given in txn request", DuplicateKey),
    ("etcdserver: key is not provided", EmptyKey),
    ("etcdserver: key not found", KeyNotFound),
    ("etcdserver: requested lease not found", LeaseNotFound),
    ("etcdserver: lease already exists", LeaseExists),
    ("etcdserver: too large lease TTL", LeaseTtlTooLarge),
    ("etcdserver: member not found", MemberNotFound),
    ("etcdserver: corrupt cluster", Corrupt),
    ("etcdserver: permission denied", PermissionDenied),
    ("etcdserver: invalid auth token", InvalidToken),
    ("etcdserver: revision of auth store is old", InvalidToken),
    # What a request without token is told while authentication is on.
    ("etcdserver: user name is empty", InvalidToken),
    ("etcdserver: authentication failed", AuthenticationFailed),
    ("etcdserver: authentication is not enabled", AuthNotEnabled),
    ("etcdserver: rpc not supported for learner", NotServedHere),
    ("etcdserver: not capable", NotServedHere),
)

_BY_CODE: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooManyRequests,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: InvalidArgument,
    grpc.StatusCode.ALREADY_EXISTS: FailedPrecondition,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.DATA_LOSS: Corrupt,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.ABORTED: Unavailable,
    # As in etcd's clientv3 (isHaltErr): the request failed, the system should recover. gRPC itself says so
    # ("Internal error from Core") where a stream loses its connection within a write.
    grpc.StatusCode.INTERNAL: Unavailable,
}

# grpc-core's words for "there was no connection to send on".
_NOT_SENT = re.compile(
    r"failed to connect to all addresses|connections to all backends failing|DNS resolution failed"
    r"|empty address list"
)


# Watches are cancelled with a reason that is a whole status in Go's words.
_STATUS_WORDS = re.compile(r"rpc error: code = (\w+) desc = ")


def from_status(code: grpc.StatusCode, message: str, *, endpoint: str = "") -> ClientError:
    """The error for a status that ended a call."""
    message = _STATUS_WORDS.sub("", message, count=1) if message.startswith("rpc err") else message
    for prefix, kind in _BY_MESSAGE:
        if message.startswith(prefix):
            return kind(message, endpoint=endpoint)
    # Unlike etcd's own refusal, a message over grpc's limit also comes as RESOURCE_EXHAUSTED; no retry helps.
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return RequestTooLarge(message, endpoint=endpoint)
    if code is grpc.StatusCode.UNAVAILABLE and _NOT_SENT.search(message):
        return NotConnected(message, endpoint=endpoint)
    return _BY_CODE.get(code, UnknownError)(message or code.name, endpoint=endpoint)


def from_rpc_error(error: grpc.aio.AioRpcError, *, endpoint: str = "") -> ClientError:
    """The error for a failed call."""
    return from_status(error.code(), error.details() or "", endpoint=endpoint)
