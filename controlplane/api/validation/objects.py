"""Is an object allowed? The rules of metadata, then those of its kind.

The answer is a list of causes, empty when it is.
The registry turns causes into errors.Invalid.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules, Part
from controlplane.api.meta import Obj
from controlplane.api.validation.metadata import (
    unqualified_finalizers,
    validate_but_names,
    validate_metadata_update,
    validate_names,
)


def validate_create(kind: Kind, obj: Obj) -> list[Cause]:
    """Causes for which the object may not be created; defaults must have been filled in."""
    rest = validate_but_names(kind.resource, obj)
    causes = _own(kind, obj, rest) + kind.validate(obj)
    # Compat: the plain rules are asked last, and only of what its kind has nothing against.
    return causes or _plain(obj, rest)


def _plain(obj: Obj, rest: list[Cause]) -> list[Cause]:
    """Causes in metadata under the rules that all kinds have; `rest` are those in all but the names."""
    return validate_names(obj, names.path_segment) + rest


def _own(kind: Kind, obj: Obj, rest: list[Cause]) -> list[Cause]:
    """Causes in metadata under the kind's own rules."""
    if MetadataRules.NAMED not in kind.metadata_rules:
        return []
    causes = validate_names(obj, kind.validate_name) + rest
    if MetadataRules.FINALIZERS in kind.metadata_rules:
        causes += unqualified_finalizers(obj)
    return causes


def validate_update(kind: Kind, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which the object may not take the place of the old one."""
    rest, changed = validate_but_names(kind.resource, new), validate_metadata_update(new, old)
    causes = _plain(new, rest) + changed
    if MetadataRules.CHANGED in kind.metadata_rules:
        causes += changed
    if MetadataRules.WHOLE in kind.metadata_rules:
        causes += _own(kind, new, rest)
    if not kind.validates_update_alone:
        causes += kind.validate(new)
    return causes + kind.validate_update(new, old)


def validate_part(part: Part, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which a part of the object may not take the place of the old one's."""
    return validate_metadata_update(new, old) + part.validate(new, old)


def validate_status(kind: Kind, new: Obj, old: Obj) -> list[Cause]:
    """Causes for which the object's status may not take the place of the old one's."""
    return validate_metadata_update(new, old) + kind.validate_status(new, old)
