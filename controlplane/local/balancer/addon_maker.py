"""Makes the addons of a cluster, those that are asked for, until each is there."""

import contextlib
import json
from pathlib import Path

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.client.rest import RestClient
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.local.balancer import addons
from controlplane.local.balancer.config import BalancerConfig
from kvstore.base.log import get_logger

log = get_logger("balancer.addons")


class AddonMaker:
    """Makes them by `client`; `config` says which there are to be, and where it is written down what was made."""

    def __init__(self, client: RestClient, config: BalancerConfig) -> None:
        self._client = client
        self._config = config
        self._has_class = False
        self._has_dns = False

    async def make(self, has_networks: bool) -> bool:
        """Make the default class, and name servers once pods have networks of their own; whether that went well."""
        if not self._has_class:
            self._has_class = await self._make_once(STORAGE_CLASSES, addons.default_class())
        if self._has_dns or not self._config.dns_address or not has_networks:
            return self._has_class
        wanted: list[tuple[Resource, Obj]] = [
            (SERVICES, addons.dns_service(self._config.dns_address))
        ]
        if self._config.coredns:
            wanted.append((SERVICE_ACCOUNTS, addons.dns_account()))
            wanted.append((DEPLOYMENTS, addons.dns_deployment(self._config.coredns)))
        for resource, obj in wanted:
            if not await self._make(resource, obj):
                return False
        self._has_dns = True
        return self._has_class

    async def _make_once(self, resource: Resource, obj: Obj) -> bool:
        """Make what this state folder has not had yet; whether it has had it now."""
        record = Path(self._config.state_dir) / addons.RECORD
        made: list[str] = json.loads(record.read_text()) if record.exists() else []
        name = f"{resource.group_resource}/{meta.name(obj)}"
        if name in made:
            return True
        if not await self._make(resource, obj):
            return False
        record.write_text(json.dumps([*made, name]))
        return True

    async def _make(self, resource: Resource, obj: Obj) -> bool:
        """Make an object unless it is there; whether that went well."""
        try:
            with contextlib.suppress(AlreadyExists):
                await self._client.create(resource, obj, meta.namespace(obj))
        except APIError as problem:
            log.warning("not made yet", object=meta.name(obj), error=str(problem))
            return False
        return True
