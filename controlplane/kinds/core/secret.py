"""Secrets: configuration that must not be shown."""

from controlplane.api.resource import Resource

SECRETS = Resource("", "v1", "Secret", "secrets", field_labels=("type",))
