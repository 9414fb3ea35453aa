"""Who owns a StatefulSet's claims, by its retention policy: pure.

A claim that is to go with the set is owned by the set; one that is to go when its Pod is scaled away is owned by that
Pod, from the moment it is condemned. The garbage collector does the rest.
"""

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.statefulset.identity import ordinal_of, ordinals


def _policy(set_: Obj) -> tuple[bool, bool]:
    """(deleted with the set, deleted when scaled away)."""
    policy = meta.spec(set_).get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") == "Delete", policy.get("whenScaled") == "Delete"


def _means(reference: Obj, owner: Obj, api_version: str, kind: str) -> bool:
    wanted = (api_version, kind, meta.name(owner))
    return (reference.get("apiVersion"), reference.get("kind"), reference.get("name")) == wanted


def is_stale(claim: Obj, pod: Obj, set_: Obj) -> bool:
    """Whether the claim belongs to an earlier Pod or set of the name, and will go with it."""
    for reference in meta.owner_references(claim):
        for owner, version, kind in ((set_, "apps/v1", "StatefulSet"), (pod, "v1", "Pod")):
            if _means(reference, owner, version, kind) and reference["uid"] != meta.uid(owner):
                return True
    return False


def waits_for_stale(claim: Obj, pod: Obj, set_: Obj) -> bool:
    """Whether a new Pod must wait until the claim has gone with the Pod that had its name before."""
    if not _policy(set_)[1]:
        return False
    return any(
        _means(reference, pod, "v1", "Pod") and reference["uid"] != meta.uid(pod)
        for reference in meta.owner_references(claim)
    )


def has_other_controller(claim: Obj, set_: Obj, pod: Obj) -> bool:
    """Whether somebody else manages the claim, so that the policy is not applied."""
    if _policy(set_) == (False, False):
        return False
    ours = (meta.uid(set_), meta.uid(pod))
    return any(
        reference.get("controller") and reference["uid"] not in ours
        for reference in meta.owner_references(claim)
    )


def owners(claim: Obj, set_: Obj, pod: Obj) -> list[Obj] | None:
    """The owner references the claim should have; None when they are right or none of our business."""
    if is_stale(claim, pod, set_):
        return None
    before = meta.owner_references(claim)
    kept = [ref for ref in before if ref["uid"] not in (meta.uid(set_), meta.uid(pod))]
    wanted = list(kept)
    if not has_other_controller(claim, set_, pod):
        with_set, with_pod = _policy(set_)
        is_condemned = ordinal_of(pod) not in ordinals(set_)
        if with_pod and is_condemned:
            wanted.append(meta.controller_reference({"apiVersion": "v1", "kind": "Pod", **pod}))
        elif with_set:
            wanted.append(meta.controller_reference(set_))
    return None if _summary(wanted) == _summary(before) else wanted


def _summary(references: list[Obj]) -> set[tuple[str, bool]]:
    return {(ref["uid"], bool(ref.get("controller"))) for ref in references}
