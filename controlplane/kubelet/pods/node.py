"""What the workers of a node share."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.client.events import EventRecorder
from controlplane.client.rest import RestClient
from controlplane.kubelet.containers.references import References
from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.kubelet.images.registry.puller import ImagePuller
from controlplane.kubelet.network.addresses import AddressPool
from controlplane.kubelet.network.resolv import Resolver
from controlplane.kubelet.runtimes.interface import ContainerRuntime
from controlplane.kubelet.volumes.manager import VolumeManager
from kvstore.base.clock import Clock


@dataclass(frozen=True, slots=True)
class Names:
    """How pods of this node resolve names."""

    servers: Sequence[str] = ()
    """The cluster's name servers; without any, pods ask whom the node asks."""
    domain: str = "cluster.local"
    host: Resolver = field(default_factory=Resolver)
    host_names: str = ""
    """The node's own /etc/hosts, for pods that share its network."""


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a kubelet that pods are made with."""

    name: str
    ip: str
    client: RestClient
    runtime: ContainerRuntime
    catalog: ImageCatalog
    puller: ImagePuller | None
    """Asks registries for images that are not here; None where nothing is pulled."""
    addresses: AddressPool
    events: EventRecorder
    references: References
    services: Callable[[], Sequence[Mapping[str, Any]]]
    """All Services, as last seen."""
    volumes: VolumeManager
    names: Names
    root: Path
    most_pids: int
    allocatable: Mapping[str, str]
    """What pods may use of the node, as quantities by resource."""
    own: Callable[[], Mapping[str, Any] | None]
    """The Node object, as last seen."""
    unsafe_sysctls: Sequence[str]
    """Sysctls that pods may set beyond those that every pod may."""
    clock: Clock
    rng: random.Random
