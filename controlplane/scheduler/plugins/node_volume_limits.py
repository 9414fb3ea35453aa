"""NodeVolumeLimits: a node takes no more volumes of a CSI driver than the driver says there.

Counted are the volumes of its pods and what is attached to it. A driver may also ask that pods stay off nodes where it
does not run. Source: pkg/scheduler/framework/plugins/nodevolumelimits/csi.go.
"""

from collections.abc import Sequence

from controlplane.api import meta
from controlplane.api.meta import Obj, View
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import (
    PERSISTENT_VOLUME_CLAIMS,
    storage_class_of,
)
from controlplane.kinds.storage.csi_driver import CSI_DRIVERS
from controlplane.kinds.storage.csi_node import CSI_NODES
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.kinds.storage.volume_attachment import VOLUME_ATTACHMENTS
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.claims import CLAIMS, concerns_claim, uses_of
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SKIP, SUCCESS, Status, unschedulable

REASON = "node(s) exceed max volume count"

_NODES = "csinodes.storage.k8s.io"
_ATTACHMENTS = "volumeattachments.storage.k8s.io"

Volumes = dict[str, str]
"""Driver and handle, to the driver."""


def _had_claims(pod: PodInfo, old: View | None, new: View | None) -> bool:
    volumes = ((old or {}).get("spec") or {}).get("volumes") or ()
    return any("persistentVolumeClaim" in v or "ephemeral" in v for v in volumes)


class NodeVolumeLimits:
    """Filter on the number of volumes."""

    name = "NodeVolumeLimits"
    events = (
        *cluster.on(cluster.added(_NODES), cluster.changed(_NODES)),
        cluster.Wake(cluster.POD_REMOVED, _had_claims),
        cluster.Wake(cluster.added(CLAIMS), concerns_claim),
        *cluster.on(cluster.removed(_ATTACHMENTS)),
    )

    def __init__(self, handle: Handle) -> None:
        self._claims = handle.cache_of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = handle.cache_of(PERSISTENT_VOLUMES)
        self._classes = handle.cache_of(STORAGE_CLASSES)
        self._nodes = handle.cache_of(CSI_NODES)
        self._drivers = handle.cache_of(CSI_DRIVERS)
        self._attachments = handle.cache_of(VOLUME_ATTACHMENTS)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Pods without claims have nothing to count."""
        return SUCCESS if uses_of(pod) else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes that are full, or lack a driver that wants to be there first."""
        wanted = self._counted(pod)
        if not wanted:
            return SUCCESS
        here = self._nodes.get(node.name)
        for driver in sorted(set(wanted.values())):
            if self._is_missing(driver, here):
                return unschedulable(f"{driver} CSI driver is not installed on the node")
        limits = _limits(here)
        if not limits:
            return SUCCESS
        there: Volumes = {}
        for other in node.pods.values():
            there |= self._counted(other)
        there |= self._attached(node.name)
        for driver, limit in limits.items():
            old = sum(1 for one in there.values() if one == driver)
            new = sum(1 for name, one in wanted.items() if one == driver and name not in there)
            if new and old + new > limit:
                return unschedulable(REASON)
        return SUCCESS

    def _counted(self, pod: PodInfo) -> Volumes:
        found: Volumes = {}
        for use in uses_of(pod):
            claim = self._claims.get(use.name, pod.namespace)
            driver, handle = ("", "") if claim is None else self._driver_of(claim)
            if driver and handle:
                found[f"{driver}/{handle}"] = driver
        return found

    def _driver_of(self, claim: Obj) -> tuple[str, str]:
        """The driver and handle of a claim's volume; of one to come the class says the driver."""
        volume = self._volumes.get(str(meta.spec(claim).get("volumeName") or ""))
        if volume is not None:
            source = meta.spec(volume).get("csi") or {}
            return str(source.get("driver") or ""), str(source.get("volumeHandle") or "")
        found = self._classes.get(storage_class_of(claim))
        if found is None:
            return "", ""
        handle = f"\0{meta.namespace(claim)}/{meta.name(claim)}"  # no handle is called so
        return str(found.get("provisioner") or ""), handle

    def _attached(self, node: str) -> Volumes:
        found: Volumes = {}
        for attachment in self._attachments.list():
            spec = meta.spec(attachment)
            name = (spec.get("source") or {}).get("persistentVolumeName")
            if spec.get("nodeName") != node or not name:
                continue
            volume = self._volumes.get(str(name))
            source = meta.spec(volume or {}).get("csi")
            if source is not None:
                driver = str(spec.get("attacher") or "")
                found[f"{driver}/{source.get('volumeHandle')}"] = driver
        return found

    def _is_missing(self, driver: str, node: Obj | None) -> bool:
        found = self._drivers.get(driver)
        if found is None or not meta.spec(found).get("preventPodSchedulingIfMissing"):
            return False
        installed = meta.spec(node or {}).get("drivers") or ()
        return all(one.get("name") != driver for one in installed)


def _limits(node: Obj | None) -> dict[str, int]:
    """Most volumes by driver, of those that say it."""
    found = {}
    for driver in meta.spec(node or {}).get("drivers") or ():
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None:
            found[str(driver.get("name"))] = int(count)
    return found
