"""Endpoints: the addresses behind a Service, the old form."""

from controlplane.api.resource import Resource

ENDPOINTS = Resource(
    "",
    "v1",
    "Endpoints",
    "endpoints",
    singular="endpoints",
    short_names=("ep",),
    storage="services/endpoints",
)
