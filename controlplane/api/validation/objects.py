"""Is an object allowed? The rules of metadata, then those of its kind.

The answer is a list of causes, empty when it is.
The registry turns causes into errors.Invalid.
"""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules, Part
from controlplane.api.meta import Obj
from controlplane.api.validation.metadata import (
    unqualified_finalizers,
    validate_metadata,
    validate_metadata_update,
    validate_plain_metadata,
)


def validate_create(kind: Kind, obj: Obj) -> list[Cause]:
    """Causes for which the object may not be created; defaults must have been filled in."""
    causes = _own(kind, obj) + kind.validate(obj)
    # Compat: the plain rules are asked last, and only of what its kind has nothing against.
    return causes or validate_plain_metadata(kind.resource, obj)


def _own(kind: Kind, obj: Obj) -> list[Cause]:
    """Causes in metadata under the kind's own rules."""
    if MetadataRules.NAMED not in kind.metadata_rules:
        return []
    causes = validate_metadata(kind.resource, obj, kind.validate_name)
    if MetadataRules.FINALIZERS in kind.metadata_rules:
        causes += unqualified_finalizers(obj)
    return causes


def validate_update(kind: Kind, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which the object may not take the place of the old one."""
    causes = validate_plain_metadata(kind.resource, new) + validate_metadata_update(new, old)
    if MetadataRules.CHANGED in kind.metadata_rules:
        causes += validate_metadata_update(new, old)
    if MetadataRules.WHOLE in kind.metadata_rules:
        causes += _own(kind, new)
    if not kind.validates_update_alone:
        causes += kind.validate(new)
    return causes + kind.validate_update(new, old)


def validate_part(part: Part, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which a part of the object may not take the place of the old one's."""
    return validate_metadata_update(new, old) + part.validate(new, old)


def validate_status(kind: Kind, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which the object's status may not take the place of the old one's."""
    return validate_metadata_update(new, old) + kind.validate_status(new, old)
