"""Events: what happened to an object, kept for an hour."""

from __future__ import annotations

from controlplane.api import meta, times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import Column
from controlplane.api.validation import causes as fields

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


class _EventStrategy(Strategy):
    # Events are forgotten after an hour.
    ttl_seconds = 3600


def _default(obj: Obj) -> None:
    # Strict clients want both, even if empty.
    obj.setdefault("reportingComponent", "")
    obj.setdefault("reportingInstance", "")


def _validate(obj: Obj) -> list[Cause]:
    about = obj.get("involvedObject") or {}
    namespace = about.get("namespace") or ""
    # Events about cluster-scoped objects live in `default`.
    allowed = (namespace,) if namespace else ("default", "kube-system", "")
    if meta.namespace(obj) not in allowed:
        detail = "does not match event.namespace"
        return [fields.invalid("involvedObject.namespace", namespace, detail)]
    return []


def _field_value(obj: Obj, label: str) -> str | None:
    if label == "source":
        source = obj.get("source") or {}
        return str(source.get("component") or obj.get("reportingComponent") or "")
    return None


def _event_last_seen(obj: Obj, now: float) -> str:
    """When the event was seen last, from whichever field holds it."""
    series = obj.get("series") or {}
    stamp = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    return times.age(stamp, now)


def _event_first_seen(obj: Obj, now: float) -> str:
    """When the event was seen first."""
    return times.age(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _event_object(obj: Obj, now: float) -> str:
    """`pod/name` of the object it is about."""
    about = obj.get("involvedObject") or {}
    kind = str(about.get("kind") or "").lower()
    return f"{kind}/{about.get('name')}" if about.get("name") else kind


def _event_source(obj: Obj, now: float) -> str:
    """Component and host that reported it."""
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host")
    return f"{component}, {host}" if host else str(component)


def _event_message(obj: Obj, now: float) -> str:
    """The message without outer white space."""
    return str(obj.get("message") or "").strip()


def _event_count(obj: Obj, now: float) -> int:
    """How often it was seen."""
    series = obj.get("series") or {}
    return int(series.get("count") or obj.get("count") or 1)


_COLUMNS = (
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
    strategy=_EventStrategy,
    default=_default,
    validate=_validate,
    field_value=_field_value,
    columns=_COLUMNS,
    is_tracked=False,
)
