"""The options of lists and watches: resourceVersion, how it is matched, limit, initial events; and what they may be.

Checks and texts are those of apimachinery's ValidateListOptions, all problems at once.
"""

import json
import re
from dataclasses import dataclass

from controlplane.api import errors
from controlplane.api.errors import APIError, Cause
from controlplane.api.validation import causes
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.requests.integers import integer

EXACT, NOT_OLDER_THAN = "Exact", "NotOlderThan"
_MATCHES = (EXACT, NOT_OLDER_THAN, "")
_DIGITS = re.compile(r"[0-9]+")
_MAX_UINT64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`resource_version` is None where none was given; `limit` 0 means all."""

    resource_version: int | None
    match: str
    limit: int
    token: str


def of_list(request: Request) -> ListOptions:
    """The options of a list; Invalid or BadRequest for what no list can have."""
    limit = integer(request, "limit") or 0
    integer(request, "timeoutSeconds")
    wanted, match, token = (
        request.option(name) for name in ("resourceVersion", "resourceVersionMatch", "continue")
    )
    found: list[Cause] = []
    if match:
        if not wanted:
            found.append(_forbidden("is forbidden unless resourceVersion is provided"))
        if token:
            found.append(_forbidden("is forbidden when continue is provided"))
        if match not in _MATCHES:
            found.append(causes.not_supported("resourceVersionMatch", match, _MATCHES))
        if match == EXACT and wanted == "0":
            detail = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            found.append(causes.forbidden("resourceVersionMatch", detail))
    if "sendInitialEvents" in request.query:
        found.append(
            causes.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
        )
    _refuse(found)
    version = None
    if wanted:
        version = _version(wanted)
        if version is None:
            raise errors.BadRequest(f"invalid resource version: {_unreadable(wanted)}")
    # Compat: a limit below zero is taken for none.
    return ListOptions(version, match, max(0, limit), token)


def of_watch(request: Request) -> tuple[int | None, bool | None]:
    """(resourceVersion, whether the present state is wanted first; None leaves both to the server)."""
    integer(request, "timeoutSeconds")
    match, found = request.option("resourceVersionMatch"), []
    has_initial = "sendInitialEvents" in request.query
    if match and not has_initial:
        found.append(_forbidden("is forbidden for watch unless sendInitialEvents is provided"))
    if has_initial:
        if match != NOT_OLDER_THAN:
            detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            found.append(causes.forbidden("resourceVersionMatch", detail))
        if match and match != NOT_OLDER_THAN:
            row = causes.not_supported("resourceVersionMatch", match, [NOT_OLDER_THAN])
            found.append(row)
    _refuse(found)
    wanted = request.option("resourceVersion")
    version = _version(wanted) if wanted else None
    if wanted and version is None:
        # Compat: a plain error of the original's, which its edge makes a 500 without a reason.
        raise APIError(_unreadable(wanted))
    return version, request.flag("sendInitialEvents") if has_initial else None


def of_get(request: Request) -> int | None:
    """The resourceVersion of a get: the object must be at least that new."""
    wanted = request.option("resourceVersion")
    version = _version(wanted) if wanted else None
    if wanted and version is None:
        raise errors.BadRequest(f"invalid resource version: {_unreadable(wanted)}")
    return version


def seconds(request: Request) -> int:
    """`timeoutSeconds`, 0 when not given."""
    return integer(request, "timeoutSeconds") or 0


def _version(text: str) -> int | None:
    if not _DIGITS.fullmatch(text) or int(text) > _MAX_UINT64:
        return None
    return int(text)


def _unreadable(text: str) -> str:
    shown = json.dumps(text, ensure_ascii=False)
    why = "value out of range" if _DIGITS.fullmatch(text) else "invalid syntax"
    return f"resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: {why}"


def _forbidden(detail: str) -> Cause:
    return causes.forbidden("resourceVersionMatch", f"resourceVersionMatch {detail}")


def _refuse(found: list[Cause]) -> None:
    if found:
        raise errors.Invalid.of("meta.k8s.io", "ListOptions", "", found)
