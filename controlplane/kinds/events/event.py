"""Events by their other name: the same store as core/v1 has, other field names, stricter rules."""

from __future__ import annotations

from controlplane.api import selectors
from controlplane.api.errors import Cause
from controlplane.api.kind import Conversion, Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.standard import through
from controlplane.kinds.core import event_rules
from controlplane.kinds.core.event import COLUMNS, EventStrategy

EVENTS_V1 = Resource(
    "events.k8s.io",
    "v1",
    "Event",
    "events",
    short_names=("ev",),
    field_labels=(
        "reason",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reportingController",
        "type",
    ),
)

_IN_CORE = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_HERE = {there: here for here, there in _IN_CORE.items()}


def to_core(obj: Obj) -> Obj:
    """The event with the field names of core/v1."""
    return {_IN_CORE.get(key, key): value for key, value in obj.items()}


def from_core(obj: Obj) -> Obj:
    """An event of core/v1 with the field names of events.k8s.io/v1."""
    return {_HERE.get(key, key): value for key, value in obj.items()}


def _field_value(obj: Obj, label: str) -> str | None:
    # What is compared may have either form: as it is stored, or as it is asked for.
    head, dot, rest = label.partition(".")
    return selectors.text_at(to_core(obj), _IN_CORE.get(head, head) + dot + rest)


def _validate(obj: Obj) -> list[Cause]:
    return event_rules.validate_strict(to_core(obj))


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    return event_rules.validate_strict_update(to_core(new), to_core(old))


# Events are written often and by one writer; the record of owners would be most of their size.
KIND = Kind(
    EVENTS_V1,
    strategy=EventStrategy,
    validate=_validate,
    validate_update=_validate_update,
    validates_update_alone=True,
    columns=through(to_core, COLUMNS),
    field_value=_field_value,
    conversion=Conversion(("", "v1", "events"), to_core, from_core),
    metadata_rules=~MetadataRules.WHOLE,
)
