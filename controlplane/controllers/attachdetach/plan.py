"""What a node should have attached, and what it has. Pure.

Source: pkg/controller/volume/attachdetach, pkg/volume/csi/csi_attacher.go (names).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume.binding import is_fully_bound, is_meant_for
from controlplane.kinds.core.pod.views import claims_of, is_ended

MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
"""The kubelet writes this on nodes whose volumes it leaves to the controller."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One volume on one node."""

    volume: str
    driver: str
    handle: str
    node: str

    @property
    def name(self) -> str:
        """The name of its VolumeAttachment, the same whoever makes it."""
        text = f"{self.handle}{self.driver}{self.node}"
        return f"csi-{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def unique_name(self) -> str:
        """What nodes call the volume in their status."""
        return f"kubernetes.io/csi/{self.driver}^{self.handle}"

    def object(self) -> Obj:
        """The VolumeAttachment."""
        return {
            "metadata": {"name": self.name},
            "spec": {
                "attacher": self.driver,
                "nodeName": self.node,
                "source": {"persistentVolumeName": self.volume},
            },
        }


ClaimOf = Callable[[str, str], Obj | None]
"""Namespace and name."""
Named = Callable[[str], Obj | None]


def wanted(
    node: str, pods: Iterable[Obj], claim_of: ClaimOf, volume_of: Named, driver_of: Named
) -> dict[Attachment, list[Obj]]:
    """What the pods of a node need attached, with the pods."""
    found: dict[Attachment, list[Obj]] = {}
    for pod in pods:
        if is_ended(pod):
            continue
        for name in claims_of(pod):
            claim = claim_of(meta.namespace(pod), name)
            if claim is None or not is_fully_bound(claim):
                continue
            volume = volume_of(str(meta.spec(claim)["volumeName"]))
            if volume is None or not is_meant_for(volume, claim):
                continue
            one = attachment_of(volume, node)
            if one is not None and _is_attachable(driver_of(one.driver)):
                found.setdefault(one, []).append(pod)
    return found


def _is_attachable(driver: Obj | None) -> bool:
    """Whether the driver attaches at all; one that says nothing does."""
    return driver is None or meta.spec(driver).get("attachRequired") is not False


def attachment_of(volume: Obj, node: str) -> Attachment | None:
    """A CSI volume on a node, None for others."""
    source = meta.spec(volume).get("csi")
    if source is None:
        return None
    driver, handle = str(source.get("driver") or ""), str(source.get("volumeHandle") or "")
    return Attachment(meta.name(volume), driver, handle, node)


def is_shared(volume: Obj) -> bool:
    """Whether several nodes may have the volume at a time."""
    modes = meta.spec(volume).get("accessModes") or ()
    return any(mode in ("ReadWriteMany", "ReadOnlyMany") for mode in modes)


def may_detach(node: Obj | None, one: Attachment, unneeded_seconds: float, limit: float) -> bool:
    """Whether a volume that no pod needs may go: the node does not use it any more, or is lost.

    A node that is silent for longer than `limit` seconds is taken to use nothing.
    """
    if node is None or unneeded_seconds >= limit:
        return True
    taints = meta.spec(node).get("taints") or ()
    if any(taint.get("key") == OUT_OF_SERVICE for taint in taints):
        return True
    return one.unique_name not in (meta.status(node).get("volumesInUse") or ())


def multi_attach_message(volume: str, namespace: str, others: Sequence[Obj]) -> str:
    """Why a volume cannot be attached to a second node; pods of other namespaces are only counted."""
    head = f'Multi-Attach error for volume "{volume}" '
    mine = sorted({meta.name(pod) for pod in others if meta.namespace(pod) == namespace})
    strangers = sum(1 for pod in others if meta.namespace(pod) != namespace)
    if not mine and not strangers:
        return (
            f"{head}Volume is already exclusively attached to one node "
            "and can't be attached to another"
        )
    if not mine:
        return f"{head}Volume is already used by {strangers} pod(s) in different namespaces"
    words = f"Volume is already used by pod(s) {', '.join(mine)}"
    if strangers:
        words += f" and {strangers} pod(s) in different namespaces"
    return head + words
