"""VolumeAttributesClasses: properties of volumes that may be changed while they are used.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.kinds.storage.parameters import validate_parameters, validate_provisioner

VOLUME_ATTRIBUTES_CLASSES = Resource(
    "storage.k8s.io",
    "v1",
    "VolumeAttributesClass",
    "volumeattributesclasses",
    namespaced=False,
    short_names=("vac",),
)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a class."""
    causes = validate_provisioner("driverName", obj.get("driverName") or "")
    return causes + validate_parameters("parameters", obj.get("parameters"), needs_some=True)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class: nothing of it may change."""
    causes = [
        fields.forbidden(key, f"updates to {key} are forbidden.")
        for key in ("driverName", "parameters")
        if (new.get(key) or None) != (old.get(key) or None)
    ]
    return causes + validate(new)


COLUMNS = (NAME, text("DriverName", cells.field("driverName"), "The driver it is for."), AGE)

KIND = Kind(
    VOLUME_ATTRIBUTES_CLASSES,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
)
