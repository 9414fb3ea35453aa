"""VolumeRestrictions: what only one pod may have at a time.

A claim with the access mode ReadWriteOncePod is for one pod in the whole cluster; a disk that is named in the pod
itself is for one pod of a node, unless all only read. Source: pkg/scheduler/framework/plugins/volumerestrictions.
"""

from collections.abc import Iterable, Sequence

from controlplane.api import meta
from controlplane.api.meta import View
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.claims import WHEN_CLAIMS_CHANGE, not_found
from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import (
    SKIP,
    SUCCESS,
    Status,
    unresolvable,
    unschedulable,
)

DISK = "node(s) had no available disk"
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
    "in-use by another pod"
)
_DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")

_IS_USED: StateKey[bool] = StateKey("VolumeRestrictions")


def _volumes(pod: PodInfo) -> Iterable[View]:
    volumes: Iterable[View] = pod.spec.get("volumes") or ()
    return volumes


def _named_claims(pod: PodInfo) -> set[str]:
    found = (volume.get("persistentVolumeClaim") for volume in _volumes(pod))
    return {str(claim.get("claimName") or "") for claim in found if claim is not None}


def _has_disk(pod: PodInfo) -> bool:
    return any(volume.get(key) is not None for volume in _volumes(pod) for key in _DISKS)


def conflict(one: View, other: View) -> bool:
    """Whether two volumes are the same disk, and not all only read it."""
    for key in _DISKS:
        mine, theirs = one.get(key), other.get(key)
        if mine is None or theirs is None:
            continue
        if _is_same_disk(key, mine, theirs):
            all_read = bool(mine.get("readOnly")) and bool(theirs.get("readOnly"))
            if key == "awsElasticBlockStore" or not all_read:
                return True
    return False


def _is_same_disk(key: str, mine: View, theirs: View) -> bool:
    if key == "gcePersistentDisk":
        return bool(mine.get("pdName") == theirs.get("pdName"))
    if key == "awsElasticBlockStore":
        return bool(mine.get("volumeID") == theirs.get("volumeID"))
    if key == "iscsi":
        return bool(mine.get("iqn") == theirs.get("iqn"))
    shared = set(mine.get("monitors") or ()) & set(theirs.get("monitors") or ())
    same = all((mine.get(k) or "") == (theirs.get(k) or "") for k in ("pool", "image"))
    return bool(shared) and same


def _frees(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the pod that went had a disk or a claim that this one waits for."""
    gone = (old or {}).get("spec") or {}
    if ((old or {}).get("metadata") or {}).get("namespace") == pod.namespace:
        claims = _named_claims(pod)
        for volume in gone.get("volumes") or ():
            claim = volume.get("persistentVolumeClaim")
            if claim is not None and claim.get("claimName") in claims:
                return True
    mine = list(_volumes(pod))
    return any(conflict(one, other) for one in mine for other in gone.get("volumes") or ())


class VolumeRestrictions:
    """Filter on disks and claims that are for one."""

    name = "VolumeRestrictions"
    events = (
        cluster.Wake(cluster.POD_REMOVED, _frees),
        *cluster.on(cluster.NODE_ADDED),
        *WHEN_CLAIMS_CHANGE,
    )

    def __init__(self, handle: Handle) -> None:
        self._claims = handle.cache_of(PERSISTENT_VOLUME_CLAIMS)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Look whether somebody has a claim that is for one pod."""
        exclusive = set()
        for name in _named_claims(pod):
            claim = self._claims.get(name, pod.namespace)
            if claim is None:
                return unresolvable(not_found("persistentvolumeclaim", name))
            if "ReadWriteOncePod" in (meta.spec(claim).get("accessModes") or ()):
                exclusive.add(name)
        is_used = bool(exclusive) and any(
            other.namespace == pod.namespace
            and other.uid != pod.uid
            and not exclusive.isdisjoint(_named_claims(other))
            for node in nodes
            for other in node.pods.values()
        )
        if not is_used and not _has_disk(pod):
            return SKIP
        state.put(_IS_USED, is_used)
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse nodes whose pods have the disk, and all while the claim is used."""
        for volume in _volumes(pod):
            if any(volume.get(key) is not None for key in _DISKS) and any(
                conflict(volume, other) for there in node.pods.values() for other in _volumes(there)
            ):
                return unschedulable(DISK)
        return unschedulable(IN_USE) if state.get(_IS_USED) else SUCCESS
