"""References to objects by group, kind and name, as ingresses and their classes hold them.

Source: pkg/apis/networking/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields


def validate_reference(path: str, reference: Obj) -> list[Cause]:
    """Causes in a reference: the group may be absent, kind and name must fit into a URL."""
    group = reference.get("apiGroup")
    causes: list[Cause] = []
    if group is not None:
        causes += fields.each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    return causes + required_segments(path, reference, ("kind", "name"))


def required_segments(path: str, reference: Obj, keys: tuple[str, ...]) -> list[Cause]:
    """Causes in fields that must be there and fit into a URL."""
    causes: list[Cause] = []
    for key in keys:
        value = reference.get(key)
        if value:
            causes += fields.each(f"{path}.{key}", value, names.path_segment(value))
        else:
            causes.append(fields.required(f"{path}.{key}"))
    return causes
