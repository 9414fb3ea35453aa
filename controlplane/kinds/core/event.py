"""Events: what happened to an object, kept for an hour."""

from controlplane.api.resource import Resource

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
