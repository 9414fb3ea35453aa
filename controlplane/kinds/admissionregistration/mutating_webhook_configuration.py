"""MutatingWebhookConfigurations: programs that may change what is written."""

from __future__ import annotations

from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.kinds.admissionregistration import webhooks

MUTATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
    categories=("api-extensions",),
)


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    webhooks.default(obj)
    for hook in obj.get("webhooks") or ():
        if isinstance(hook, dict) and hook.get("reinvocationPolicy") is None:
            hook["reinvocationPolicy"] = "Never"


KIND = Kind(
    MUTATING_WEBHOOK_CONFIGURATIONS,
    strategy=webhooks.ConfigurationStrategy,
    default=default,
    validate=webhooks.validate,
    validate_update=webhooks.validate_update,
    validates_update_alone=True,
    columns=webhooks.COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
