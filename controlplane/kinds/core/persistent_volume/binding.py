"""Which volume a claim can have, and how both say that they belong together.

The binder and the scheduler ask the same questions: the binder for claims that bind at once, the scheduler, node by
node, for those that wait for their first pod. Pure.
Sources: component-helpers/storage/volume/pv_helpers.go, pkg/controller/volume/persistentvolume (index.go, binder).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fractions import Fraction

from controlplane.api import meta, quantity
from controlplane.api.meta import Obj, View
from controlplane.api.selectors import LabelSelector
from controlplane.kinds.core.persistent_volume_claim import storage_class_of
from controlplane.kinds.core.pod.placement import selects

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
LOCAL_PATH = "quorate/local-path"
"""The provisioner that is built in: a folder on the node of the first pod."""
NO_PROVISIONER = "kubernetes.io/no-provisioner"
WAITS = "WaitForFirstConsumer"
"""The volumeBindingMode of classes whose claims wait for a pod."""


def size_of(spec: View) -> Fraction:
    """The storage a claim asks for (its spec), or a volume has; 0 when it says nothing."""
    amounts = spec.get("capacity") or (spec.get("resources") or {}).get("requests") or {}
    value = amounts.get("storage")
    return quantity.parse(value) if quantity.is_valid(value) else Fraction(0)


def is_meant_for(volume: Obj, claim: Obj) -> bool:
    """Whether the volume names the claim; one without the claim's uid is meant for any claim of that name."""
    reference = meta.spec(volume).get("claimRef")
    if reference is None:
        return False
    if reference.get("name") != meta.name(claim):
        return False
    if reference.get("namespace") != meta.namespace(claim):
        return False
    return not reference.get("uid") or reference["uid"] == meta.uid(claim)


def is_fully_bound(claim: Obj) -> bool:
    """Whether the claim has its volume, and the binder has said so."""
    return bool(meta.spec(claim).get("volumeName")) and BIND_COMPLETED in meta.annotations(claim)


def has_mode_of(claim: Obj, volume: Obj) -> bool:
    """Whether both are of files, or both of blocks."""
    modes = [meta.spec(one).get("volumeMode") or "Filesystem" for one in (claim, volume)]
    return modes[0] == modes[1]


def offers_access(volume: Obj, claim: Obj) -> bool:
    """Whether the volume can be mounted in all ways that the claim asks for."""
    offered = set(meta.spec(volume).get("accessModes") or ())
    return offered.issuperset(meta.spec(claim).get("accessModes") or ())


def attributes_class(obj: Obj) -> str:
    """The class of volume attributes of a claim or volume, empty without one."""
    return str(meta.spec(obj).get("volumeAttributesClassName") or "")


def reaches(volume: Obj, node: Obj) -> bool:
    """Whether the node can have the volume, by its node affinity."""
    required = (meta.spec(volume).get("nodeAffinity") or {}).get("required")
    return required is None or selects(required, node)


def mismatch(volume: Obj, claim: Obj) -> str:
    """Why a claim cannot have the very volume it asks for, empty when it can; upstream's words."""
    if meta.is_deleting(volume):
        return f'the volume is marked for deletion "{meta.name(volume)}"'
    if size_of(meta.spec(volume)) < size_of(meta.spec(claim)):
        return "requested PV is too small"
    if storage_class_of(volume) != storage_class_of(claim):
        return "storageClassName does not match"
    if attributes_class(volume) != attributes_class(claim):
        return "volumeAttributesClassName does not match"
    if not has_mode_of(claim, volume):
        return "incompatible volumeMode"
    if not offers_access(volume, claim):
        return "incompatible accessMode"
    return ""


def best_match(
    claim: Obj,
    volumes: Iterable[Obj],
    *,
    waits: bool,
    node: Obj | None = None,
    taken: Collection[str] = (),
) -> Obj | None:
    """The volume a claim should have: one that is meant for it, else the smallest that fits.

    With `waits` and no node only volumes that name the claim count: the choice of others is the scheduler's, which asks
    with a node and with the names it has chosen already for other claims of the pod (`taken`). Volumes with the fewest
    modes of access come first, as upstream's index has them.
    """
    wanted = [volume for volume in volumes if offers_access(volume, claim)]
    modes = {meta.name(volume): len(set(meta.spec(volume)["accessModes"])) for volume in wanted}
    for count in sorted(set(modes.values())):
        some = [volume for volume in wanted if modes[meta.name(volume)] == count]
        found = _smallest(claim, some, waits=waits, node=node, taken=taken)
        if found is not None:
            return found
    return None


def _smallest(
    claim: Obj,
    volumes: Iterable[Obj],
    *,
    waits: bool,
    node: Obj | None,
    taken: Collection[str],
) -> Obj | None:
    best: Obj | None = None
    for volume in volumes:
        if meta.name(volume) in taken or not _could_be_had(volume, claim):
            continue
        if is_meant_for(volume, claim):
            return volume if node is None or reaches(volume, node) else None
        if (node is None and waits) or not _is_free_for(volume, claim):
            continue
        if node is not None and not reaches(volume, node):
            continue
        if best is None or _order(volume) < _order(best):
            best = volume
    return best


def _order(volume: Obj) -> tuple[Fraction, str]:
    return (size_of(meta.spec(volume)), meta.name(volume))


def _could_be_had(volume: Obj, claim: Obj) -> bool:
    if meta.spec(volume).get("claimRef") is not None and not is_meant_for(volume, claim):
        return False
    return (
        size_of(meta.spec(volume)) >= size_of(meta.spec(claim))
        and has_mode_of(claim, volume)
        and attributes_class(claim) == attributes_class(volume)
        and not meta.is_deleting(volume)
    )


def _is_free_for(volume: Obj, claim: Obj) -> bool:
    if meta.status(volume).get("phase") != "Available":
        return False
    if storage_class_of(volume) != storage_class_of(claim):
        return False
    selector = meta.spec(claim).get("selector")
    return selector is None or LabelSelector.from_object(selector).matches(meta.labels(volume))


def reference_to(claim: Obj) -> Obj:
    """The claimRef of a volume that is the claim's."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": meta.name(claim),
        "namespace": meta.namespace(claim),
        "uid": meta.uid(claim),
        "resourceVersion": meta.resource_version(claim),
    }


def bound_to(volume: Obj, claim: Obj) -> Obj:
    """The volume with the claim in it; the same object when it is there already."""
    reference = meta.spec(volume).get("claimRef") or {}
    is_marked = is_meant_for(volume, claim) or BOUND_BY_CONTROLLER in meta.annotations(volume)
    if reference.get("uid") == meta.uid(claim) and is_marked:
        return volume
    changed = meta.copy_of(volume)
    changed["spec"]["claimRef"] = reference_to(claim)
    if not is_marked:
        meta.set_annotation(changed, BOUND_BY_CONTROLLER, "yes")
    return changed
