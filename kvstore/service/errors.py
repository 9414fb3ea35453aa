"""What the service layer itself can refuse.

ServiceError
├── RequestTooLarge      the command is above the size limit
├── MemberNotFound       no member has this id
├── BadLeaderTransferee  the wanted new leader is not a member that could lead
├── MemberUrlsInvalid    peer URLs that are none
├── PeerUrlExists        a peer URL that another member has
├── NotLearner           only a learner can be promoted
├── LearnerNotReady      a learner lacks too much of the log to be promoted
├── MemberExists         a member has this id
├── TooManyLearners      one at a time
├── NotEnoughStarted, Unhealthy
│                        a change of the members that could cost the majority
├── LearnerRefuses       what a learner does not serve
├── WrongDowngradeVersionFormat, InvalidDowngradeTarget, DowngradeInProgress, NoInflightDowngrade
│                        why a downgrade cannot be begun or cancelled
├── UnknownMethod        an action that etcd does not have either
└── NotSupported         a call that this store does not have; says which and why
"""


class ServiceError(Exception):
    """Base of the refusals of the service layer. `retryable` is whether the same call may succeed later."""

    retryable = False


class RequestTooLarge(ServiceError):
    """`size_bytes` is above `limit_bytes`."""

    def __init__(self, size_bytes: int = 0, limit_bytes: int = 0) -> None:
        super().__init__(f"request of {size_bytes} bytes is above the limit of {limit_bytes} bytes")


class MemberNotFound(ServiceError):
    """No such member."""


class BadLeaderTransferee(ServiceError):
    """The target cannot become leader."""


class MemberUrlsInvalid(ServiceError):
    """The peer URLs given are none."""


class PeerUrlExists(ServiceError):
    """Another member has one of the peer URLs."""


class NotLearner(ServiceError):
    """The member votes already."""


class LearnerNotReady(ServiceError):
    """The learner lacks too much of the log."""

    retryable = True


class MemberExists(ServiceError):
    """A member has this id."""


class TooManyLearners(ServiceError):
    """There is a learner already."""


class NotEnoughStarted(ServiceError):
    """Too few members have started for one more, or one less."""


class Unhealthy(ServiceError):
    """Too few members are connected for a change."""

    retryable = True


class LearnerRefuses(ServiceError):
    """A learner serves reads of its own state and its status only."""


class WrongDowngradeVersionFormat(ServiceError):
    """The target is not a version."""


class InvalidDowngradeTarget(ServiceError):
    """The target is not one minor version below."""


class DowngradeInProgress(ServiceError):
    """One downgrade at a time."""


class NoInflightDowngrade(ServiceError):
    """There is nothing to cancel."""


class UnknownMethod(ServiceError):
    """No such action."""


class NotSupported(ServiceError):
    """The call exists in etcd but not here; the message says what and why."""
