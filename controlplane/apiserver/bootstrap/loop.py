"""What a new cluster begins with, made by whichever server comes first: four namespaces and the API's Service.

Each creation is idempotent, so all servers may do it at once; without a store it is tried until there is one.
"""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Parts
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service import SERVICES
from kvstore.base.backoff import Backoff
from kvstore.base.log import get_logger

_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

log = get_logger(__name__)


async def bootstrap(parts: Parts) -> None:
    """Make what is missing; returns when all is there and the caches are warm."""
    backoff = Backoff(0.1, 2.0)
    while True:
        try:
            await _once(parts)
        except errors.APIError as error:
            log.warning("bootstrap has to wait for the store", error=str(error))
            await parts.clock.sleep(backoff.next())
        else:
            parts.bootstrapped.set()
            return


async def _once(parts: Parts) -> None:
    context = WriteContext("v1", LOOPBACK, manager="quorate-apiserver")
    namespaces = parts.registries[NAMESPACES]
    for name in _SYSTEM_NAMESPACES:
        try:
            await namespaces.get("", name)
        except errors.NotFound:
            await _create(parts, NAMESPACES, "", {"metadata": {"name": name}}, context)
    services = parts.registries[SERVICES]
    try:
        await services.get("default", "kubernetes")
    except errors.NotFound:
        await _create(parts, SERVICES, "default", _api_service(parts), context)


async def _create(
    parts: Parts, resource: Resource, namespace: str, obj: Obj, context: WriteContext
) -> None:
    try:
        await parts.registries[resource].create(namespace, obj, context)
    except errors.AlreadyExists:
        # Another server was first.
        return
    log.info("created at bootstrap", kind=resource.kind, name=obj["metadata"]["name"])


def _api_service(parts: Parts) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ports": [
                {
                    "name": "https",
                    "protocol": "TCP",
                    "port": 443,
                    "targetPort": parts.config.secure_port or 6443,
                }
            ],
        },
    }
