"""The claims of pods, as the plugins of volumes see them."""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj, View
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.node_info import PodInfo

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"


@dataclass(frozen=True, slots=True)
class Use:
    """A claim that a pod uses; an ephemeral one is made for the pod and must be its own."""

    name: str
    is_ephemeral: bool


def uses_of(pod: PodInfo) -> tuple[Use, ...]:
    """The claims of a pod in the order of its volumes."""
    found = []
    for volume in pod.spec.get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim is not None:
            found.append(Use(str(claim.get("claimName") or ""), False))
        elif volume.get("ephemeral") is not None:
            found.append(Use(f"{pod.name}-{volume.get('name') or ''}", True))
    return tuple(found)


def is_made_for(claim: Obj, pod: PodInfo) -> bool:
    """Whether an ephemeral claim is the pod's own."""
    owner = meta.controller_of(claim)
    return owner is not None and owner.get("uid") == pod.uid


def not_found(plural: str, name: str) -> str:
    """What the API says of an object that is not there."""
    return f'{plural} "{name}" not found'


def concerns_claim(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the changed claim is one that the pod uses."""
    changed = new or old or {}
    metadata = changed.get("metadata") or {}
    if metadata.get("namespace") != pod.namespace:
        return False
    return any(use.name == metadata.get("name") for use in uses_of(pod))


WHEN_CLAIMS_CHANGE = (
    cluster.Wake(cluster.added(CLAIMS), concerns_claim),
    cluster.Wake(cluster.changed(CLAIMS), concerns_claim),
)
