"""What every handler is given: the parts of the running server, by name."""

import asyncio
import random
from dataclasses import dataclass, field

from controlplane.api.resource import Resource
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.nodes.kubelet import KubeletClient
from controlplane.apiserver.registry.generic import Registry
from controlplane.storage.interface import Storage
from controlplane.storage.watch_cache import WatchCache
from kvstore.base.clock import Clock


@dataclass(slots=True)
class Parts:
    """The running server."""

    config: ApiServerConfig
    storage: Storage
    caches: WatchCache
    registries: dict[Resource, Registry]
    kubelet: KubeletClient
    metrics: Metrics
    clock: Clock
    rng: random.Random
    # Set when the server ends: watches return.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when the namespaces every cluster has are there.
    is_bootstrapped: bool = False
