"""Rules of metav1.Condition lists in a status.

Source: apimachinery/pkg/apis/meta/v1/validation/validation.go (ValidateConditions).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_STATUSES = ("False", "True", "Unknown")
_MAX_REASON_BYTES = 1024
_MAX_MESSAGE_BYTES = 32 * 1024
_REASON_TEXT = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON = re.compile(_REASON_TEXT)
_REASON_DETAIL = (
    "a condition reason must start with alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
    "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex "
    f"used for validation is '{_REASON_TEXT}')"
)


def validate_conditions(path: str, rows: Sequence[dict[str, Any]] | None) -> list[Cause]:
    """Causes in the conditions, of which there is one of a type at most."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows or ()):
        where, kind = f"{path}[{index}]", str(row.get("type") or "")
        if kind in seen:
            causes.append(fields.duplicate(f"{where}.type", kind))
        seen.add(kind)
        causes += validate_condition(where, row)
    return causes


def validate_condition(path: str, row: dict[str, Any]) -> list[Cause]:
    """Causes in one condition."""
    kind, status = str(row.get("type") or ""), str(row.get("status") or "")
    causes = fields.each(f"{path}.type", kind, names.qualified_name(kind))
    if status not in _STATUSES:
        causes.append(fields.not_supported(f"{path}.status", status, _STATUSES))
    if (row.get("observedGeneration") or 0) < 0:
        detail = "must be greater than or equal to zero"
        where = f"{path}.observedGeneration"
        causes.append(fields.invalid(where, row["observedGeneration"], detail))
    if not row.get("lastTransitionTime"):
        causes.append(fields.required(f"{path}.lastTransitionTime"))
    reason = str(row.get("reason") or "")
    if not reason:
        causes.append(fields.required(f"{path}.reason"))
    elif not _REASON.fullmatch(reason):
        causes.append(fields.invalid(f"{path}.reason", reason, _REASON_DETAIL))
    if len(reason.encode()) > _MAX_REASON_BYTES:
        causes.append(fields.too_long(f"{path}.reason", _MAX_REASON_BYTES))
    if len(str(row.get("message") or "").encode()) > _MAX_MESSAGE_BYTES:
        causes.append(fields.too_long(f"{path}.message", _MAX_MESSAGE_BYTES))
    return causes
