"""What classes of volumes share: a driver's name and the parameters it is given.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_MAX_COUNT = 512
_MAX_BYTES = 256 * 1024


def validate_provisioner(path: str, name: str) -> list[Cause]:
    """Causes in the name of who makes the volumes; upper case is let pass."""
    if not name:
        return [fields.required(path)]
    low = name.lower()
    return fields.each(path, low, names.qualified_name(low))


def validate_parameters(
    path: str, parameters: dict[str, str] | None, *, needs_some: bool = False
) -> list[Cause]:
    """Causes in parameters: how many, how large, and whether there are any where it takes some."""
    rows = parameters or {}
    if len(rows) > _MAX_COUNT:
        return [fields.too_long(path, _MAX_COUNT)]
    causes: list[Cause] = []
    if "" in rows:
        causes.append(fields.invalid(path, "", "field can not be empty."))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in rows.items())
    if size > _MAX_BYTES:
        causes.append(fields.too_long(path, _MAX_BYTES))
    if needs_some and not rows:
        detail = "must contain at least one key/value pair"
        causes.append(fields.required(path, detail))
    return causes
