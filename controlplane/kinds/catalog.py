"""All built-in kinds: the only list of groups, in the order in which discovery names them."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.scheme import Scheme
from controlplane.kinds.admissionregistration import group as admissionregistration
from controlplane.kinds.apiextensions import group as apiextensions
from controlplane.kinds.apiregistration import group as apiregistration
from controlplane.kinds.apps import group as apps
from controlplane.kinds.authentication import group as authentication
from controlplane.kinds.authorization import group as authorization
from controlplane.kinds.autoscaling import group as autoscaling
from controlplane.kinds.batch import group as batch
from controlplane.kinds.certificates import group as certificates
from controlplane.kinds.coordination import group as coordination
from controlplane.kinds.core import group as core
from controlplane.kinds.discovery import group as discovery
from controlplane.kinds.events import group as events
from controlplane.kinds.flowcontrol import group as flowcontrol
from controlplane.kinds.networking import group as networking
from controlplane.kinds.node import group as node
from controlplane.kinds.policy import group as policy
from controlplane.kinds.rbac import group as rbac
from controlplane.kinds.resource import group as resource
from controlplane.kinds.scheduling import group as scheduling
from controlplane.kinds.storage import group as storage

BUILT_IN: tuple[Kind, ...] = (
    *core.KINDS,
    *apiregistration.KINDS,
    *apps.KINDS,
    *events.KINDS,
    *authentication.KINDS,
    *authorization.KINDS,
    *autoscaling.KINDS,
    *batch.KINDS,
    *certificates.KINDS,
    *networking.KINDS,
    *policy.KINDS,
    *rbac.KINDS,
    *storage.KINDS,
    *admissionregistration.KINDS,
    *apiextensions.KINDS,
    *scheduling.KINDS,
    *coordination.KINDS,
    *node.KINDS,
    *discovery.KINDS,
    *resource.KINDS,
    *flowcontrol.KINDS,
)

SCHEME = Scheme(BUILT_IN)
"""What every cluster serves. For composition roots and tests; the API server's own may be replaced while it runs."""
