"""What makes an event valid: the lenient rules of core/v1, and the strict ones of events.k8s.io/v1.

Both see the event in the form of core/v1, in which it is stored. Causes name the fields of that form, but for the
controller that reported. Source: pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Pointer, Shape

CORE = "reportingComponent"
STRICT = "reportingController"
"""How causes name the field of the controller, by the version of the request."""

_LIMITS = (("reportingInstance", 128), ("action", 128), ("reason", 128))
_MAX_MESSAGE = 1024
_CLUSTER = ("", "default")
_SYSTEM = ("default", "kube-system")
_REFERENCE = Shape(
    (
        ("Kind", "kind", ""),
        ("Namespace", "namespace", ""),
        ("Name", "name", ""),
        ("UID", "uid", ""),
        ("APIVersion", "apiVersion", ""),
        ("ResourceVersion", "resourceVersion", ""),
        ("FieldPath", "fieldPath", ""),
    )
)
_SOURCE = Shape((("Component", "component", ""), ("Host", "host", "")))
_EVENT = Shape(
    (
        ("involvedObject", "involvedObject", _REFERENCE),
        ("reason", "reason", ""),
        ("message", "message", ""),
        ("source", "source", _SOURCE),
        ("firstTimestamp", "firstTimestamp", None),
        ("lastTimestamp", "lastTimestamp", None),
        ("count", "count", 0),
        ("type", "type", ""),
        ("eventTime", "eventTime", None),
        ("action", "action", ""),
        ("related", "related", Pointer(_REFERENCE)),
        (STRICT, CORE, ""),
        ("reportingInstance", "reportingInstance", ""),
    )
)
# Compat: the reason is compared twice.
_LASTING = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count"),
    *("reason", "type", "eventTime", "action", "related", STRICT, "reportingInstance"),
)


def validate_lenient(obj: Obj, reporter: str = CORE) -> list[Cause]:
    """Causes in any event."""
    namespace = meta.namespace(obj)
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    is_old = not obj.get("eventTime")
    if is_old:
        matches = namespace == about if about else namespace in _CLUSTER
    else:
        matches = bool(about) or namespace in _SYSTEM
    causes: list[Cause] = []
    if not matches:
        detail = "does not match event.namespace"
        causes.append(fields.invalid("involvedObject.namespace", about, detail))
    if not is_old:
        causes += _new_fields(obj, reporter)
    return causes + fields.each("namespace", namespace, names.dns_subdomain(namespace))


def _new_fields(obj: Obj, reporter: str) -> list[Cause]:
    """What an event with an eventTime must tell."""
    controller = obj.get(CORE) or ""
    causes = [] if controller else [fields.required(reporter)]
    causes += fields.each(reporter, controller, names.qualified_name(controller))
    for key, limit in _LIMITS:
        value = obj.get(key) or ""
        if not value:
            causes.append(fields.required(key))
        causes += _at_most(key, value, limit)
    return causes + _at_most("message", obj.get("message") or "", _MAX_MESSAGE)


def _at_most(key: str, value: str, limit: int) -> list[Cause]:
    if len(value.encode()) <= limit:
        return []
    return [fields.invalid(key, "", f"can have at most {limit} characters")]


def validate_strict(obj: Obj) -> list[Cause]:
    """Causes in a new event of events.k8s.io/v1, which cannot have the fields of old."""
    causes = validate_lenient(obj, STRICT) + _series(obj)
    if not obj.get("eventTime"):
        causes.append(fields.required("eventTime"))
    sort = obj.get("type") or ""
    if sort not in ("Normal", "Warning"):
        causes.append(fields.invalid("type", "", f"has invalid value: {sort}"))
    source = obj.get("source") or {}
    old = {
        "firstTimestamp": obj.get("firstTimestamp"),
        "lastTimestamp": obj.get("lastTimestamp"),
        "count": obj.get("count"),
        "source": source.get("component") or source.get("host"),
    }
    for key, value in old.items():
        if value:
            causes.append(fields.invalid(key, "", "needs to be unset"))
    return causes


def _series(obj: Obj) -> list[Cause]:
    series = obj.get("series")
    if series is None:
        return []
    causes: list[Cause] = []
    if (series.get("count") or 0) < 2:
        causes.append(fields.invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        causes.append(fields.required("series.lastObservedTime"))
    return causes


def validate_strict_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a change made through events.k8s.io/v1: only a series goes on."""
    causes = validate_lenient(new, STRICT)
    if not is_same(new.get("series"), old.get("series")):
        causes += _series(new)
    after, before = _EVENT.of(new), _EVENT.of(old)
    return causes + [
        fields.immutable(key, after[key]) for key in _LASTING if after[key] != before[key]
    ]
