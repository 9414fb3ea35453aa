"""The errors of the API and their one translation to metav1.Status and back.

The tree (HTTP code, reason)::

    APIError
    |- BadRequest 400            |- Gone 410 Gone
    |- Unauthorized 401          |  `- Expired 410 Expired
    |- Forbidden 403             |- RequestEntityTooLarge 413
    |- NotFound 404              |- UnsupportedMediaType 415
    |- MethodNotAllowed 405      |- Invalid 422
    |- NotAcceptable 406         |- TooManyRequests 429
    |- Conflict 409              |- Internal 500 InternalError
    |  |- AlreadyExists          |- ServiceUnavailable 503
    |  `- ApplyConflict          `- Timeout 504
    |                               `- ServerTimeout 504 (code 500 upstream; Compat: see class)

Messages have upstream's form (apimachinery/pkg/api/errors), since clients show them and some
match on them. `retryable` tells whether the same request may succeed later without change;
`outcome_known` is False when the write may have been done all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of Status.details.causes: what is wrong with which field.

    `reason` is one of upstream's cause types: FieldValueRequired, FieldValueInvalid,
    FieldValueNotSupported, FieldValueForbidden, FieldValueDuplicate, FieldValueTooLong, ...
    """

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def to_dict(self) -> dict[str, str]:
        """The cause as it stands in a Status."""
        cause = {"message": self.message}
        if self.reason:
            cause = {"reason": self.reason, **cause}
        if self.field:
            cause["field"] = self.field
        return cause


class APIError(Exception):
    """Any refusal of the API; carries all that a metav1.Status can say."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""
    retryable: ClassVar[bool] = False
    # Compat: refusals by route alone have details, though there are none.
    has_empty_details: bool = False
    outcome_known: ClassVar[bool] = True
    # A Status that somebody else has made, told as it is.
    foreign: Obj | None = None

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after_seconds: int = 0,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.group = group
        self.kind = kind
        self.uid = uid
        self.causes = tuple(causes)
        self.retry_after_seconds = retry_after_seconds
        self.status_code = self.code if code is None else code
        # Where an expired list may go on, though not consistently.
        self.continue_token = ""

    def details(self) -> Obj:
        """Status.details: empty fields are left out."""
        details: Obj = {}
        for key in ("name", "group", "kind", "uid"):
            value = getattr(self, key)
            if value:
                details[key] = value
        if self.causes:
            details["causes"] = [cause.to_dict() for cause in self.causes]
        if self.retry_after_seconds:
            details["retryAfterSeconds"] = self.retry_after_seconds
        return details

    def status(self) -> Obj:
        """The error as a metav1.Status object."""
        if self.foreign is not None:
            return self.foreign
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        details = self.details()
        if details or self.has_empty_details:
            status["details"] = details
        status["code"] = self.status_code
        return status

    @staticmethod
    def from_status(status: Mapping[str, Any]) -> APIError:
        """The error a Status stands for; unknown reasons are told by the code."""
        code = int(status.get("code") or 500)
        reason = str(status.get("reason") or "")
        cls = _BY_REASON.get(reason) or _BY_CODE.get(code) or APIError
        details = status.get("details") or {}
        error = cls.__new__(cls)
        APIError.__init__(
            error,
            str(status.get("message") or reason or f"the server answered {code}"),
            name=str(details.get("name") or ""),
            group=str(details.get("group") or ""),
            kind=str(details.get("kind") or ""),
            uid=str(details.get("uid") or ""),
            causes=[
                Cause(
                    str(cause.get("field") or ""),
                    str(cause.get("message") or ""),
                    str(cause.get("reason") or ""),
                )
                for cause in details.get("causes") or ()
            ],
            retry_after_seconds=int(details.get("retryAfterSeconds") or 0),
            code=code,
        )
        return error


class BadRequest(APIError):
    """The request itself cannot be understood."""

    code = 400
    reason = "BadRequest"


class Unauthorized(APIError):
    """Nobody known is asking."""

    code = 401
    reason = "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(APIError):
    """Understood and refused; asking again does not help."""

    code = 403
    reason = "Forbidden"

    @classmethod
    def of(
        cls, resource: Resource, name: str, why: str, *, causes: Sequence[Cause] = ()
    ) -> Forbidden:
        """Refusal of a write to an object, in upstream's words."""
        subject = f'{resource.group_resource} "{name}"' if name else resource.group_resource
        return cls(
            f"{subject} is forbidden: {why}",
            name=name,
            group=resource.group,
            kind=resource.plural,
            causes=causes,
        )


class NotFound(APIError):
    """No object of that name."""

    code = 404
    reason = "NotFound"

    @classmethod
    def of(cls, resource: Resource, name: str) -> NotFound:
        """`pods "x" not found`, with details."""
        return cls(
            f'{resource.group_resource} "{name}" not found',
            name=name,
            group=resource.group,
            kind=resource.plural,
        )

    @classmethod
    def path(cls) -> NotFound:
        """The answer to a URL that is not part of the API."""
        error = cls("the server could not find the requested resource")
        error.has_empty_details = True
        return error


class MethodNotAllowed(APIError):
    """The resource has no such verb."""

    code = 405
    reason = "MethodNotAllowed"

    has_empty_details = True

    def __init__(self) -> None:
        super().__init__("the server does not allow this method on the requested resource")


class NotAcceptable(APIError):
    """None of the media types the client accepts can be made."""

    code = 406
    reason = "NotAcceptable"


class Conflict(APIError):
    """The write rests on a state that is no longer so."""

    code = 409
    reason = "Conflict"

    @classmethod
    def of(cls, resource: Resource, name: str, why: str = "") -> Conflict:
        """Optimistic concurrency failure, in upstream's words."""
        why = why or (
            "the object has been modified; please apply your changes to the latest version "
            "and try again"
        )
        return cls(
            f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}',
            name=name,
            group=resource.group,
            kind=resource.plural,
        )


class AlreadyExists(Conflict):
    """A create of a name that is taken."""

    reason = "AlreadyExists"

    @classmethod
    def of(cls, resource: Resource, name: str, why: str = "") -> AlreadyExists:
        """`pods "x" already exists`, with details; `why` stands before."""
        return cls(
            f'{why}{resource.group_resource} "{name}" already exists',
            name=name,
            group=resource.group,
            kind=resource.plural,
        )


class ApplyConflict(Conflict):
    """A server-side apply that would take fields from other managers; causes name them."""


class Gone(APIError):
    """What was asked for existed once and is no more."""

    code = 410
    reason = "Gone"


class Expired(Gone):
    """A resourceVersion or continue token older than the history kept: list again."""

    reason = "Expired"

    @classmethod
    def too_old(cls, wanted: int | str, oldest: int | str) -> Expired:
        """The message informers know."""
        return cls(f"too old resource version: {wanted} ({oldest})")


class RequestEntityTooLarge(APIError):
    """The body is over the limit."""

    code = 413
    reason = "RequestEntityTooLarge"

    def __init__(self, message: str) -> None:
        super().__init__(f"Request entity too large: {message}")


class UnsupportedMediaType(APIError):
    """The body's content type cannot be read here."""

    code = 415
    reason = "UnsupportedMediaType"

    def __init__(self, content_type: str, accepted: Sequence[str] = ()) -> None:
        kinds = ", ".join(accepted) or "application/json, application/yaml"
        super().__init__(
            "the body of the request was in an unknown format - "
            f"accepted media types include: {kinds}"
        )
        self.content_type = content_type


class Invalid(APIError):
    """The object breaks its kind's rules; causes say where."""

    code = 422
    reason = "Invalid"

    @classmethod
    def of(cls, group: str, kind: str, name: str, causes: Sequence[Cause]) -> Invalid:
        """`Deployment.apps "x" is invalid: field: message` with all causes."""
        shown = f"{kind}.{group}" if group else kind
        # The same said twice is told once; the list of causes has both.
        texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
        joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        return cls(
            f'{shown} "{name}" is invalid: {joined}',
            name=name,
            group=group,
            kind=kind,
            causes=causes,
        )

    @classmethod
    def for_resource(cls, resource: Resource, name: str, causes: Sequence[Cause]) -> Invalid:
        """Same, from a scheme row."""
        return cls.of(resource.group, resource.kind, name, causes)


class TooManyRequests(APIError):
    """Not now: the client should wait `retry_after_seconds`."""

    code = 429
    reason = "TooManyRequests"
    retryable = True

    def __init__(
        self, message: str, *, retry_after_seconds: int = 1, causes: Sequence[Cause] = ()
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, causes=causes)


class Internal(APIError):
    """A fault of the server's own."""

    code = 500
    reason = "InternalError"
    retryable = True
    outcome_known = False

    def __init__(self, message: str) -> None:
        super().__init__(f"Internal error occurred: {message}", causes=[Cause("", message, "")])


class ServiceUnavailable(APIError):
    """The server, or the store behind it, cannot serve for now."""

    code = 503
    reason = "ServiceUnavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class Timeout(APIError):
    """The request was not done in time; a write's outcome is unknown."""

    code = 504
    reason = "Timeout"
    retryable = True
    outcome_known = False

    @classmethod
    def large_resource_version(cls, wanted: int, current: int) -> Timeout:
        """The answer to a read of a revision that has not come within the waiting time."""
        return cls(
            f"Timeout: Too large resource version: {wanted}, current: {current}",
            causes=[Cause("", "Too large resource version", "ResourceVersionTooLarge")],
            retry_after_seconds=1,
        )


class ServerTimeout(Timeout):
    """The server could not finish in time and asks to be tried again.

    Compat: upstream answers it with code 500; clients look at the reason only.
    """

    code = 500
    reason = "ServerTimeout"

    @classmethod
    def of(cls, resource: Resource, verb: str, retry_after_seconds: int = 1) -> ServerTimeout:
        """Upstream's words, with the operation."""
        return cls(
            f"The {verb} operation against {resource.group_resource} could not be completed at "
            "this time, please try again.",
            name=verb,
            group=resource.group,
            kind=resource.plural,
            retry_after_seconds=retry_after_seconds,
        )


_CLASSES: tuple[type[APIError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    AlreadyExists,
    Gone,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    Internal,
    ServiceUnavailable,
    Timeout,
    ServerTimeout,
)
_BY_REASON = {cls.reason: cls for cls in _CLASSES}
# The first class of a code is the general one; ServerTimeout's 500 must not shadow Internal.
_BY_CODE: dict[int, type[APIError]] = {}
for _class in _CLASSES:
    _BY_CODE.setdefault(_class.code, _class)


def success(
    *, name: str = "", group: str = "", kind: str = "", uid: str = "", code: int = 200
) -> Obj:
    """A metav1.Status that says the request was done (delete, binding, eviction)."""
    details = {
        key: value
        for key, value in (("name", name), ("group", group), ("kind", kind), ("uid", uid))
        if value
    }
    status: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        status["details"] = details
    if code != 200:
        status["code"] = code
    return status
