"""All built-in kinds: the only list of groups, in the order in which discovery names them."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.scheme import Scheme
from controlplane.kinds.apiextensions import group as apiextensions
from controlplane.kinds.apps import group as apps
from controlplane.kinds.autoscaling import group as autoscaling
from controlplane.kinds.batch import group as batch
from controlplane.kinds.coordination import group as coordination
from controlplane.kinds.core import group as core
from controlplane.kinds.discovery import group as discovery
from controlplane.kinds.policy import group as policy

BUILT_IN: tuple[Kind, ...] = (
    *core.KINDS,
    *apps.KINDS,
    *autoscaling.KINDS,
    *batch.KINDS,
    *policy.KINDS,
    *coordination.KINDS,
    *discovery.KINDS,
    *apiextensions.KINDS,
)

SCHEME = Scheme(BUILT_IN)
"""What every cluster serves. For composition roots and tests; the API server's own may be replaced while it runs."""
