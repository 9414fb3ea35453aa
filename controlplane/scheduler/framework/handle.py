"""What plugins are built with: client, caches of the API's objects, the nodes of the running cycle, waiting pods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controlplane.api.resource import Resource
from controlplane.client.events import Recorder
from controlplane.client.indexer import Indexer
from controlplane.client.rest import RestClient
from controlplane.scheduler.framework.node_info import NodeInfo
from controlplane.scheduler.framework.waiting import WaitingPods
from kvstore.base.clock import Clock


@dataclass(frozen=True, slots=True)
class Handle:
    """The way into the running scheduler.

    `client` refuses changes once leadership is in doubt. `cache_of(resource)` is the cache of a kind, asked for when
    the plugin is built: the scheduler waits until it is filled and hears of its changes from then on. `snapshot()` are
    the nodes the current cycle decides on.
    """

    client: RestClient
    cache_of: Callable[[Resource], Indexer]
    snapshot: Callable[[], Sequence[NodeInfo]]
    recorder: Recorder
    waiting: WaitingPods
    clock: Clock
