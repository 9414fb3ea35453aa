"""The kinds of the group admissionregistration.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.admissionregistration import (
    mutating_admission_policy,
    mutating_admission_policy_binding,
    mutating_webhook_configuration,
    validating_admission_policy,
    validating_admission_policy_binding,
    validating_webhook_configuration,
)

KINDS: tuple[Kind, ...] = (
    mutating_admission_policy.KIND,
    mutating_admission_policy_binding.KIND,
    mutating_webhook_configuration.KIND,
    validating_admission_policy.KIND,
    validating_admission_policy_binding.KIND,
    validating_webhook_configuration.KIND,
)
