"""DeviceClasses: devices of one sort, by expressions and by what their driver is told.

Source: pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import resource_names
from controlplane.kinds.resource.configuration import (
    MAX_CONFIG,
    validate_configuration,
    validate_selectors,
)
from controlplane.kinds.resource.lists import validate_items

DEVICE_CLASSES = Resource("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", namespaced=False)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new class."""
    return _validate(obj, None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class."""
    return _validate(new, old)


def _validate(obj: Obj, old: Obj | None) -> list[Cause]:
    spec = meta.spec(obj)
    causes = validate_selectors("spec.selectors", spec.get("selectors"))
    config = spec.get("config") or []
    is_stored = old is not None and config == (meta.spec(old).get("config") or [])

    def rule(path: str, row: Obj) -> list[Cause]:
        return validate_configuration(path, row, is_stored=is_stored)

    causes += validate_items("spec.config", config, MAX_CONFIG, rule)
    name = spec.get("extendedResourceName")
    if name is not None and not resource_names.is_extended(name):
        detail = "must be a valid extended resource name"
        causes.append(fields.invalid("spec.extendedResourceName", name, detail))
    return causes


KIND = Kind(
    DEVICE_CLASSES,
    strategy=SpecStrategy,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=(NAME, AGE),
)
