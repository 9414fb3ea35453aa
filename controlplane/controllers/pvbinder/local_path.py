"""Volumes that are made here: a folder on the node of the first pod, taken away with the volume.

Works as the provisioners `local-path` and `hostpath` of small clusters do: a volume is a hostPath with an affinity to
its node, made there by the kubelet when it is first mounted, and removed by a pod on that node, since only the node can
reach the folder, and only its runtime may remove what containers wrote there as other users.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume.binding import (
    BOUND_BY_CONTROLLER,
    LOCAL_PATH,
    PROVISIONED_BY,
    reference_to,
)
from controlplane.kinds.core.persistent_volume_claim import storage_class_of

FINALIZER = "kubernetes.io/pv-controller"
"""Keeps a volume that is deleted until its folder is gone."""
HOSTNAME = "kubernetes.io/hostname"
NAMESPACE = "kube-system"
"""Where the pods that remove folders run."""


class ProvisioningError(Exception):
    """The volume cannot be made; the message is told in an event."""


@dataclass(frozen=True, slots=True)
class LocalPath:
    """`directory` is where volumes lie on a node, `{node}` standing for its name; `image` has a shell's `rm`."""

    directory: str
    image: str

    def volume_for(self, claim: Obj, storage_class: Obj, node: Obj) -> Obj:
        """The volume of a claim on a node. Raises ProvisioningError."""
        if meta.spec(claim).get("volumeMode") == "Block":
            raise ProvisioningError("block volumes are not supported")
        modes = meta.spec(claim).get("accessModes") or ()
        refused = [mode for mode in modes if mode in ("ReadWriteMany", "ReadOnlyMany")]
        if refused:
            raise ProvisioningError(
                f"access mode {refused[0]} is not supported: a folder is one node's"
            )
        name = f"pvc-{meta.uid(claim)}"
        folder = f"{name}_{meta.namespace(claim)}_{meta.name(claim)}"
        policy = str(storage_class.get("reclaimPolicy") or "Delete")
        hostname = meta.labels(node).get(HOSTNAME) or meta.name(node)
        metadata: Obj = {
            "name": name,
            "annotations": {BOUND_BY_CONTROLLER: "yes", PROVISIONED_BY: LOCAL_PATH},
        }
        if policy == "Delete":
            metadata["finalizers"] = [FINALIZER]
        spec: Obj = {
            "capacity": {"storage": meta.spec(claim)["resources"]["requests"]["storage"]},
            "accessModes": list(modes),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": storage_class_of(claim),
            "volumeMode": "Filesystem",
            "claimRef": reference_to(claim),
            "hostPath": {
                "path": f"{self._folder_of(meta.name(node))}/{folder}",
                "type": "DirectoryOrCreate",
            },
            "nodeAffinity": _only_on(hostname),
        }
        return {"metadata": metadata, "spec": spec}

    def _folder_of(self, node: str) -> str:
        return self.directory.replace("{node}", node)

    def removal(self, volume: Obj, node: str) -> Obj:
        """The pod that removes the volume's folder on its node."""
        path = PurePosixPath(meta.spec(volume)["hostPath"]["path"])
        parent = str(path.parent)
        return {
            "metadata": {"name": removal_name(volume), "namespace": NAMESPACE},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "remove",
                        "image": self.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["rm", "-rf", str(path)],
                        "volumeMounts": [{"name": "volumes", "mountPath": parent}],
                    }
                ],
                "volumes": [
                    {
                        "name": "volumes",
                        "hostPath": {"path": parent, "type": "DirectoryOrCreate"},
                    }
                ],
            },
        }


def removal_name(volume: Obj) -> str:
    """The name of the pod that removes a volume's folder."""
    return f"remove-{meta.name(volume)}"


def is_ours(volume: Obj) -> bool:
    """Whether the volume was made here."""
    return meta.annotations(volume).get(PROVISIONED_BY) == LOCAL_PATH


def lacks_finalizer(volume: Obj) -> bool:
    """Whether the volume could go before its folder: its policy was changed to Delete later."""
    return (
        is_ours(volume)
        and not meta.is_deleting(volume)
        and meta.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete"
        and FINALIZER not in meta.finalizers(volume)
    )


def guarded(volume: Obj) -> Obj:
    """The volume with the finalizer."""
    finalizers = [*meta.finalizers(volume), FINALIZER]
    return {**volume, "metadata": {**meta.metadata(volume), "finalizers": finalizers}}


def unguarded(volume: Obj) -> Obj:
    """The volume without the finalizer."""
    finalizers = [one for one in meta.finalizers(volume) if one != FINALIZER]
    return {**volume, "metadata": {**meta.metadata(volume), "finalizers": finalizers}}


def node_of(volume: Obj, nodes: Iterable[Obj]) -> Obj | None:
    """The node that has the volume's folder, None when it is gone."""
    required = (meta.spec(volume).get("nodeAffinity") or {}).get("required") or {}
    wanted = {
        value
        for term in required.get("nodeSelectorTerms") or ()
        for row in term.get("matchExpressions") or ()
        if row.get("key") == HOSTNAME
        for value in row.get("values") or ()
    }
    for node in nodes:
        if (meta.labels(node).get(HOSTNAME) or meta.name(node)) in wanted:
            return node
    return None


def pick_node(nodes: Iterable[Obj], volumes: Iterable[Obj]) -> Obj | None:
    """The node for a claim that does not wait for a pod: a ready one with the fewest such volumes."""
    ready = [
        node
        for node in nodes
        if conditions.is_true(node, "Ready") and not meta.spec(node).get("unschedulable")
    ]
    counts = dict.fromkeys((meta.name(node) for node in ready), 0)
    for volume in volumes:
        node = node_of(volume, ready) if is_ours(volume) else None
        if node is not None:
            counts[meta.name(node)] += 1
    return min(ready, key=lambda node: (counts[meta.name(node)], meta.name(node)), default=None)


def _only_on(hostname: str) -> Obj:
    row: dict[str, str | Sequence[str]] = {
        "key": HOSTNAME,
        "operator": "In",
        "values": [hostname],
    }
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [row]}]}}
