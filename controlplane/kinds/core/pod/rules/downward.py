"""Rules of files that tell about the pod itself."""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import environment, paths


def validate_downward(source: View, path: str) -> list[Cause]:
    """Causes in a downwardAPI volume."""
    causes = paths.file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for row in source.get("items") or ():
        # Compat: upstream does not tell which item it is.
        causes += downward_file(row, path)
    return causes


def downward_file(row: View, path: str) -> list[Cause]:
    """Causes in one file."""
    target = row.get("path") or ""
    causes = [] if target else [fields.required(f"{path}.path")]
    causes += paths.local(target, f"{path}.path")
    field, resource = row.get("fieldRef"), row.get("resourceFieldRef")
    if field is not None:
        allowed = environment.VOLUME_FIELDS
        causes += environment.field_reference(field, allowed, f"{path}.fieldRef")
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            causes.append(fields.invalid(path, "resource", detail))
    elif resource is not None:
        where = f"{path}.resourceFieldRef"
        causes += environment.resource_reference(resource, where, needs_container=True)
    else:
        causes.append(fields.required(path, "one of fieldRef and resourceFieldRef is required"))
    return causes + paths.file_mode(row.get("mode"), f"{path}.mode")
