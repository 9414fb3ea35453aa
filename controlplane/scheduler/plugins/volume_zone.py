"""VolumeZone: volumes that carry labels of a zone or region are for nodes there.

Nodes without any such label are not judged: a cluster may have no zones. A label of several zones is written
`a__b`. Source: pkg/scheduler/framework/plugins/volumezone.
"""

from collections.abc import Sequence

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume.binding import WAITS
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import (
    PERSISTENT_VOLUME_CLAIMS,
    storage_class_of,
)
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.claims import (
    CLASSES,
    VOLUMES,
    WHEN_CLAIMS_CHANGE,
    not_found,
    uses_of,
)
from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SKIP, SUCCESS, Status, unresolvable

REASON = "node(s) had no available volume zone"

_STABLE = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_LABELS = (*_STABLE, *_STABLE.values())

Zones = list[tuple[str, frozenset[str]]]
_STATE: StateKey[Zones] = StateKey("VolumeZone")


def zones_of(volume: Obj) -> Zones:
    """The labels of topology of a volume with the values that are allowed."""
    labels = meta.labels(volume)
    return [(key, frozenset(labels[key].split("__"))) for key in _LABELS if key in labels]


class VolumeZone:
    """Filter on zones of bound volumes."""

    name = "VolumeZone"
    events = (
        *WHEN_CLAIMS_CHANGE,
        *cluster.on(cluster.NODE_ADDED, cluster.NODE_LABELS, cluster.added(CLASSES)),
        *cluster.on(cluster.added(VOLUMES), cluster.changed(VOLUMES)),
    )

    def __init__(self, handle: Handle) -> None:
        self._claims = handle.cache_of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = handle.cache_of(PERSISTENT_VOLUMES)
        self._classes = handle.cache_of(STORAGE_CLASSES)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Collect the zones of all volumes that are there."""
        zones: Zones = []
        for use in uses_of(pod):
            if not use.name:
                return unresolvable("PersistentVolumeClaim had no name")
            claim = self._claims.get(use.name, pod.namespace)
            if claim is None:
                return unresolvable(not_found("persistentvolumeclaim", use.name))
            name = str(meta.spec(claim).get("volumeName") or "")
            if not name:
                why = self._unbound(claim)
                if why:
                    return unresolvable(why)
                continue
            volume = self._volumes.get(name)
            if volume is None:
                return unresolvable(not_found("persistentvolume", name))
            zones += zones_of(volume)
        if not zones:
            return SKIP
        state.put(_STATE, zones)
        return SUCCESS

    def _unbound(self, claim: Obj) -> str:
        """Why a claim without a volume is not the scheduler's to bind, empty when it is."""
        wanted = storage_class_of(claim)
        if not wanted:
            return "PersistentVolumeClaim had no pv name and storageClass name"
        found = self._classes.get(wanted)
        if found is None:
            return not_found("storageclass.storage.k8s.io", wanted)
        return "" if found.get("volumeBindingMode") == WAITS else "PersistentVolume had no name"

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes of other zones."""
        labels = node.labels
        if not any(key in labels for key in _LABELS):
            return SUCCESS
        for key, values in state.get(_STATE):
            value = labels.get(key, labels.get(_STABLE.get(key, key)))
            if value not in values:
                return unresolvable(REASON)
        return SUCCESS
