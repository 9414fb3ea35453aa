"""ValidatingAdmissionPolicyBindings: where a policy holds, with which parameters, and what a failure does."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.kinds.admissionregistration import policies
from controlplane.kinds.admissionregistration.webhooks import ConfigurationStrategy

VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
)

_ACTIONS = ("Audit", "Deny", "Warn")


def validate(obj: Obj) -> list[Cause]:
    """Causes in a binding."""
    spec = meta.spec(obj)
    return policies.validate_binding(spec) + _actions(spec.get("validationActions") or [])


def _actions(actions: list[str]) -> list[Cause]:
    path = "spec.validationActions"
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            causes.append(fields.not_supported(f"{path}[{index}]", action, _ACTIONS))
        if action in seen:
            causes.append(fields.duplicate(f"{path}[{index}]", action))
        seen.add(action)
    if seen >= {"Deny", "Warn"}:
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure "
            "information in the API response and headers serves no purpose)"
        )
        causes.append(fields.invalid(path, actions, detail))
    if not actions:
        causes.append(fields.required(path, "at least one validation action is required"))
    return causes


KIND = Kind(
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    strategy=ConfigurationStrategy,
    default=policies.default_binding,
    validate=validate,
    columns=policies.BINDING_COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
