"""Events: what happened to an object, kept for an hour."""

from __future__ import annotations

from controlplane.api import times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import Column
from controlplane.kinds.core import event_rules

EVENTS = Resource(
    "",
    "v1",
    "Event",
    "events",
    short_names=("ev",),
    field_labels=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
)


class EventStrategy(Strategy):
    """Events are forgotten after an hour."""

    ttl_seconds = 3600
    creates_on_update = True


def default(obj: Obj) -> None:
    """Both are always there, even if empty: strict clients want them."""
    obj.setdefault("reportingComponent", "")
    obj.setdefault("reportingInstance", "")


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Anything of an event may change, as far as the result is one."""
    del old
    return event_rules.validate_lenient(new)


def _field_value(obj: Obj, label: str) -> str | None:
    if label == "source":
        source = obj.get("source") or {}
        return str(source.get("component") or obj.get("reportingComponent") or "")
    return None


def _event_first_seen(obj: Obj, now: float) -> str:
    """When the event was seen first."""
    return times.age(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _event_last_seen(obj: Obj, now: float) -> str:
    """When the event was seen last, from whichever field holds it."""
    series, stamp = obj.get("series"), obj.get("lastTimestamp")
    if series is not None:
        stamp = series.get("lastObservedTime")
    elif not stamp:
        return _event_first_seen(obj, now)
    return times.age(stamp, now)


def _event_object(obj: Obj, now: float) -> str:
    """`pod/name` of the object it is about."""
    about = obj.get("involvedObject") or {}
    kind = str(about.get("kind") or "").lower()
    return f"{kind}/{about.get('name')}" if about.get("name") else kind


def _event_source(obj: Obj, now: float) -> str:
    """Component and host that reported it, by the old fields or the new ones."""
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host") or obj.get("reportingInstance")
    return f"{component}, {host}" if host else str(component)


def _event_message(obj: Obj, now: float) -> str:
    """The message without outer white space."""
    return str(obj.get("message") or "").strip()


def _event_count(obj: Obj, now: float) -> int:
    """How often it was seen."""
    series = obj.get("series")
    if series is not None:
        return int(series.get("count") or 0)
    return int(obj.get("count") or 1)


COLUMNS = (
    Column("Last Seen", _event_last_seen, description="When it was seen last."),
    Column("Type", cells.field("type"), description="Normal or Warning."),
    Column("Reason", cells.field("reason"), description="Why, in one word."),
    Column("Object", _event_object, description="What it is about."),
    Column("Subobject", cells.field("involvedObject.fieldPath"), 1, description="Part."),
    Column("Source", _event_source, 1, description="Who reported it."),
    Column("Message", _event_message, description="What happened."),
    Column("First Seen", _event_first_seen, 1, description="When it was seen first."),
    Column("Count", _event_count, 1, description="How often."),
    Column("Name", cells.name, 1, format="name", description="Name of the event."),
)


# Events are written often and by one writer; the record of owners would be most of their size.
KIND = Kind(
    EVENTS,
    strategy=EventStrategy,
    default=default,
    validate=event_rules.validate_lenient,
    validate_update=_validate_update,
    validates_update_alone=True,
    field_value=_field_value,
    columns=COLUMNS,
    metadata_rules=MetadataRules(0),
)
