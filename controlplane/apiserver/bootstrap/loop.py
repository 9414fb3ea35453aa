"""What a new cluster begins with, made by whichever server comes first: namespaces, the API's Service, roles,
priorities, flow control, the list of groups.

Each creation is idempotent, so all servers may do it at once; without a store it is tried until there is one.
"""

import asyncio
import contextlib

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.authz.rbac import policy
from controlplane.apiserver.bootstrap import defaults, rbac, trust
from controlplane.apiserver.registry.allocation.ranges import first_address
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kinds.rbac.role import ROLES
from controlplane.kinds.rbac.role_binding import ROLE_BINDINGS
from kvstore.base.backoff import Backoff
from kvstore.base.log import get_logger

# The field manager of what the original makes at its start.
_MANAGER = "kube-apiserver"
_RBAC = (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS)
_BY_KIND = {resource.kind: resource for resource in _RBAC}
# Writes under way together; the store syncs those that come at once with one fsync.
_AT_ONCE = 32
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

log = get_logger(__name__)


async def bootstrap(server: Server) -> None:
    """Make what is missing; returns when all is there and the caches are warm."""
    backoff = Backoff(0.1, 2.0)
    while True:
        try:
            await _once(server)
        except errors.APIError as error:
            log.warning("bootstrap has to wait for the store", error=str(error))
            await server.clock.sleep(backoff.next())
        else:
            server.bootstrapped.set()
            return


async def _once(server: Server) -> None:
    context = WriteContext("v1", LOOPBACK, manager=_MANAGER)
    namespaces = server.registries[NAMESPACES]
    for name in _SYSTEM_NAMESPACES:
        try:
            await namespaces.get("", name)
        except errors.NotFound:
            await _create(server, NAMESPACES, "", {"metadata": {"name": name}}, context)
    services = server.registries[SERVICES]
    try:
        await services.get("default", "kubernetes")
    except errors.NotFound:
        await _create(server, SERVICES, "default", _api_service(server), context)
    await defaults.make(server, _create)
    await _tell_whom_to_trust(server)
    await _reconcile_roles(server)


async def _tell_whom_to_trust(server: Server) -> None:
    own = trust.data(server.config)
    if not own:
        return
    registry = server.registries[CONFIG_MAPS]
    context = WriteContext("v1", LOOPBACK, manager=_MANAGER)
    metadata = {"name": trust.NAME, "namespace": trust.NAMESPACE}
    try:
        live = await registry.get(trust.NAMESPACE, trust.NAME)
    except errors.NotFound:
        obj = {"metadata": metadata, "data": own}
        try:
            await registry.create(trust.NAMESPACE, obj, context)
            return
        except errors.AlreadyExists:
            # Another server was first; ours may still be to add.
            live = await registry.get(trust.NAMESPACE, trust.NAME)
    if trust.completed(live, own) is live:
        return

    async def completed(found: Obj) -> Obj:
        return trust.completed(found, own)

    await registry.update(trust.NAMESPACE, trust.NAME, completed, context)


async def _reconcile_roles(server: Server) -> None:
    """Add what the default roles and bindings lack, some at a time: a new cluster lacks all of them."""
    found: dict[tuple[str, str, str], Obj] = {}
    for resource in _RBAC:
        with translating(resource):
            page = await server.storage.list(resource.key_prefix + "/")
        for obj in page.items:
            found[(resource.kind, *meta.key_of(obj))] = obj
    gate = asyncio.Semaphore(_AT_ONCE)

    async def reconcile(expected: Obj) -> None:
        resource = _BY_KIND[expected["kind"]]
        existing = found.get((resource.kind, *meta.key_of(expected)))
        async with gate:
            await _reconcile(server, resource, expected, existing)

    await asyncio.gather(*(reconcile(expected) for expected in policy.defaults()))


async def _reconcile(
    server: Server, resource: Resource, expected: Obj, existing: Obj | None
) -> None:
    registry, namespace = server.registries[resource], meta.namespace(expected)
    context = WriteContext(resource.group_version, LOOPBACK, manager=_MANAGER)
    if existing is not None and rbac.needs_replacement(existing, expected):
        options = DeleteOptions(uid=meta.uid(existing))
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            await registry.delete(namespace, meta.name(expected), options, context)
        existing = None
    if existing is None:
        await _create(server, resource, namespace, meta.copy_of(expected), context)
        return
    if rbac.completed(existing, expected) is existing:
        return

    async def completed(live: Obj) -> Obj:
        return rbac.completed(live, expected)

    with contextlib.suppress(errors.NotFound):
        await registry.update(namespace, meta.name(expected), completed, context)
        log.info("completed at bootstrap", kind=resource.kind, name=meta.name(expected))


async def _create(
    server: Server, resource: Resource, namespace: str, obj: Obj, context: WriteContext
) -> None:
    try:
        await server.registries[resource].create(namespace, obj, context)
    except errors.AlreadyExists:
        # Another server was first.
        return
    log.debug("created at bootstrap", kind=resource.kind, name=obj["metadata"]["name"])


def _api_service(server: Server) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            # Pods find the API here: the first address of the range, on every cluster.
            "clusterIP": first_address(server.config.service_ip_range),
            "sessionAffinity": "None",
            "ports": [
                {
                    "name": "https",
                    "protocol": "TCP",
                    "port": 443,
                    "targetPort": server.config.secure_port or 6443,
                }
            ],
        },
    }
