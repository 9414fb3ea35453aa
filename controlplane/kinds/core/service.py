"""Services: a stable address in front of pods."""

from controlplane.api.resource import STATUS, Resource

SERVICES = Resource(
    "",
    "v1",
    "Service",
    "services",
    short_names=("svc",),
    categories=("all",),
    storage="services/specs",
    subresources=(STATUS,),
    field_labels=("spec.clusterIP", "spec.type"),
)
