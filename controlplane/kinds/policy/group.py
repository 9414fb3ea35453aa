"""The kinds of the group policy, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.policy import pod_disruption_budget

KINDS: tuple[Kind, ...] = (pod_disruption_budget.KIND,)
