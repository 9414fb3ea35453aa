"""MutatingAdmissionPolicyBindings: where a policy holds, and with which parameters."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.kinds.admissionregistration import policies
from controlplane.kinds.admissionregistration.webhooks import ConfigurationStrategy

MUTATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a binding."""
    spec = meta.spec(obj)
    causes = policies.validate_binding(spec)
    match = spec.get("matchResources")
    return causes + policies.validate_mutable(match or {}, "spec.matchResources")


KIND = Kind(
    MUTATING_ADMISSION_POLICY_BINDINGS,
    strategy=ConfigurationStrategy,
    default=policies.default_binding,
    validate=validate,
    columns=policies.BINDING_COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
