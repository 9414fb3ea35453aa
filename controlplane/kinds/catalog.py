"""All built-in kinds: the only list."""

from controlplane.api.scheme import Scheme
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS

SCHEME = Scheme(
    (
        CONFIG_MAPS,
        ENDPOINTS,
        EVENTS,
        NAMESPACES,
        NODES,
        PODS,
        SECRETS,
        SERVICES,
        SERVICE_ACCOUNTS,
        DEPLOYMENTS,
        REPLICA_SETS,
        LEASES,
    )
)
