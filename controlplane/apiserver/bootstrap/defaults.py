"""The system's priority classes, flow control and the list of the API's own groups, made where they are missing.

What is there is left alone, whoever has changed it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import translating
from controlplane.kinds.apiregistration.api_service import API_SERVICES
from controlplane.kinds.flowcontrol.flow_schema import FLOW_SCHEMAS
from controlplane.kinds.flowcontrol.priority_level_configuration import (
    PRIORITY_LEVEL_CONFIGURATIONS,
)
from controlplane.kinds.networking.service_cidr import SERVICE_CIDRS
from controlplane.kinds.scheduling.priority_class import PRIORITY_CLASSES

Create = Callable[[Server, Resource, str, Obj, WriteContext], Awaitable[None]]

_DATA = "controlplane.apiserver.bootstrap.data"
FLOW_MANAGER = "api-priority-and-fairness-config-producer-v1"
_MANAGERS = {
    PRIORITY_CLASSES: "kube-apiserver",
    PRIORITY_LEVEL_CONFIGURATIONS: FLOW_MANAGER,
    FLOW_SCHEMAS: FLOW_MANAGER,
    API_SERVICES: "kube-apiserver",
    SERVICE_CIDRS: "kube-apiserver",
}
_BY_KIND = {resource.kind: resource for resource in _MANAGERS}


@cache
def objects() -> tuple[Obj, ...]:
    """All of them but the range of Services; not to be changed."""
    text = resources.files(_DATA).joinpath("defaults.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


async def make(server: Server, create: Create) -> None:
    """Make those that are missing, at once."""
    wanted = [*objects(), _service_range(server)]
    there: set[tuple[str, str]] = set()
    for resource in _MANAGERS:
        with translating(resource):
            page = await server.storage.list(resource.key_prefix + "/")
        there |= {(resource.kind, meta.name(obj)) for obj in page.items}

    async def one(obj: Obj) -> None:
        resource = _BY_KIND[obj["kind"]]
        context = WriteContext(resource.group_version, LOOPBACK, manager=_MANAGERS[resource])
        await create(server, resource, "", meta.copy_of(obj), context)

    missing = [obj for obj in wanted if (obj["kind"], meta.name(obj)) not in there]
    await asyncio.gather(*(one(obj) for obj in missing))


def _service_range(server: Server) -> Obj:
    return {
        "kind": SERVICE_CIDRS.kind,
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [str(server.config.service_ip_range)]},
    }
