"""TokenRequests: the body of serviceaccounts/token; not stored.

Source: pkg/apis/authentication/validation and v1/defaults.go.
"""

from __future__ import annotations

from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields

TOKEN_REQUESTS = Resource(
    "authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", verbs=("create",)
)

_DEFAULT_SECONDS = 60 * 60
MIN_SECONDS = 10 * 60
_MAX_SECONDS = 1 << 32


def _default(obj: Obj) -> None:
    set_missing(part(obj, "spec"), "expirationSeconds", _DEFAULT_SECONDS)


def _validate(obj: Obj) -> list[Cause]:
    seconds = (obj.get("spec") or {}).get("expirationSeconds") or 0
    path = "spec.expirationSeconds"
    if seconds < MIN_SECONDS:
        return [fields.invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _MAX_SECONDS:
        return [
            fields.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
        ]
    return []


KIND = Kind(TOKEN_REQUESTS, default=_default, validate=_validate)
