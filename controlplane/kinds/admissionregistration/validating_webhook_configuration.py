"""ValidatingWebhookConfigurations: programs that are asked about writes."""

from __future__ import annotations

from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.resource import Resource
from controlplane.kinds.admissionregistration import webhooks

VALIDATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
    categories=("api-extensions",),
)

KIND = Kind(
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    strategy=webhooks.ConfigurationStrategy,
    default=webhooks.default,
    validate=webhooks.validate,
    validate_update=webhooks.validate_update,
    validates_update_alone=True,
    columns=webhooks.COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
