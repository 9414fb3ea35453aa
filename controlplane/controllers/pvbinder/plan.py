"""What a claim or a volume needs next. Pure.

A claim goes Pending -> Bound, and to Lost when its volume vanishes; a volume Available -> Bound -> Released, and to
Failed when it could not be taken back. Both name each other: the volume is written first, so that a binder that dies in
between finds its own mark (`bound-by-controller`) and finishes.
Source: pkg/controller/volume/persistentvolume/pv_controller.go.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from controlplane.api import meta, quantity
from controlplane.api.meta import Obj
from controlplane.kinds.core.persistent_volume.binding import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    SELECTED_NODE,
    WAITS,
    best_match,
    has_mode_of,
    is_meant_for,
    mismatch,
)
from controlplane.kinds.core.persistent_volume_claim import BETA_CLASS, storage_class_of
from controlplane.kinds.core.pod.views import is_ended
from controlplane.kinds.storage.storage_class import default_of

Lookup = Callable[[str], Obj | None]


@dataclass(frozen=True, slots=True)
class Note:
    """An event: its type, reason and message."""

    type: str
    reason: str
    message: str


class Step(Enum):
    """What to do with a claim."""

    BIND = "bind"
    PROVISION = "provision"
    TAKE_CLASS = "take the default class"
    PENDING = "pending"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ClaimPlan:
    """One step of a claim; `volume` is the one to bind, `name` the class to take."""

    step: Step
    volume: Obj | None = None
    name: str = ""
    note: Note | None = None


def plan_claim(
    claim: Obj,
    volumes: Iterable[Obj],
    volume_named: Lookup,
    classes: Sequence[Obj],
    pods: Iterable[Obj],
) -> ClaimPlan:
    """The next step of a claim; `pods` are those of its namespace that use it."""
    wanted = str(meta.spec(claim).get("volumeName") or "")
    if BIND_COMPLETED in meta.annotations(claim):
        return _bound(claim, volume_named(wanted) if wanted else None)
    if wanted:
        return _asks_for(claim, volume_named(wanted))
    by_name = {meta.name(one): one for one in classes}
    storage_class = by_name.get(storage_class_of(claim))
    waits = storage_class is not None and storage_class.get("volumeBindingMode") == WAITS
    found = best_match(claim, volumes, waits=waits)
    if found is not None:
        return ClaimPlan(Step.BIND, found)
    default = None if has_class(claim) else default_of(classes)
    if default is not None:
        if best_match(claim, _as_available(volumes), waits=False) is not None:
            return ClaimPlan(Step.PENDING)  # a volume without a class has just come
        return ClaimPlan(Step.TAKE_CLASS, name=meta.name(default))
    if waits and SELECTED_NODE not in meta.annotations(claim):
        return ClaimPlan(Step.PENDING, note=_waiting(pods))
    if storage_class_of(claim):
        return ClaimPlan(Step.PROVISION)
    message = "no persistent volumes available for this claim and no storage class is set"
    return ClaimPlan(Step.PENDING, note=Note("Normal", "FailedBinding", message))


def has_class(claim: Obj) -> bool:
    """Whether the claim says which class it wants; the empty one is an answer, too."""
    return (
        BETA_CLASS in meta.annotations(claim)
        or meta.spec(claim).get("storageClassName") is not None
    )


def _as_available(volumes: Iterable[Obj]) -> list[Obj]:
    """Volumes so new that nobody has looked at them, as they will be in a moment."""
    return [
        {**volume, "status": {"phase": "Available"}}
        for volume in volumes
        if meta.status(volume).get("phase") in (None, "Pending")
    ]


def _waiting(pods: Iterable[Obj]) -> Note:
    names = sorted(
        meta.name(pod) for pod in pods if not is_ended(pod) and not meta.spec(pod).get("nodeName")
    )
    if not names:
        message = "waiting for first consumer to be created before binding"
        return Note("Normal", "WaitForFirstConsumer", message)
    word = "pods" if len(names) > 1 else "pod"
    message = f"waiting for {word} {','.join(names)} to be scheduled"
    return Note("Normal", "WaitForPodScheduled", message)


def _asks_for(claim: Obj, volume: Obj | None) -> ClaimPlan:
    """A claim that names its volume."""
    if volume is None:
        return ClaimPlan(Step.PENDING)
    if is_meant_for(volume, claim):
        return ClaimPlan(Step.BIND, volume)
    name = meta.name(volume)
    if meta.spec(volume).get("claimRef") is not None:
        message = f'volume "{name}" already bound to a different claim.'
        return ClaimPlan(Step.PENDING, note=Note("Warning", "FailedBinding", message))
    why = mismatch(volume, claim)
    if why:
        message = f'Cannot bind to requested volume "{name}": {why}'
        return ClaimPlan(Step.PENDING, note=Note("Warning", "VolumeMismatch", message))
    return ClaimPlan(Step.BIND, volume)


def _bound(claim: Obj, volume: Obj | None) -> ClaimPlan:
    """A claim that was bound once."""
    reason, message = "ClaimLost", ""
    if not meta.spec(claim).get("volumeName"):
        message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
    elif volume is None:
        message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    else:
        reference = meta.spec(volume).get("claimRef")
        if reference is None or reference.get("uid") == meta.uid(claim):
            return ClaimPlan(Step.BIND, volume)
        reason = "ClaimMisbound"
        message = "Two claims are bound to the same volume, this one is bound incorrectly"
    return ClaimPlan(Step.LOST, note=Note("Warning", reason, message))


def claim_bound_to(claim: Obj, volume: Obj) -> Obj:
    """The claim with its volume in it; the same object when it is there already."""
    noted = meta.annotations(claim)
    name = meta.name(volume)
    is_named = meta.spec(claim).get("volumeName") == name
    if is_named and BIND_COMPLETED in noted:
        return claim
    changed = meta.copy_of(claim)
    if not is_named:
        changed["spec"]["volumeName"] = name
        meta.set_annotation(changed, BOUND_BY_CONTROLLER, "yes")
    meta.set_annotation(changed, BIND_COMPLETED, "yes")
    return changed


def claim_status(claim: Obj, phase: str, volume: Obj | None) -> Obj:
    """The status of a claim in this phase; capacity is the volume's only when the phase changes, as it may grow."""
    old = meta.status(claim)
    status = dict(old)
    status["phase"] = phase
    if volume is None:
        for key in ("accessModes", "capacity", "currentVolumeAttributesClassName"):
            status.pop(key, None)
        return status
    spec = meta.spec(volume)
    status["accessModes"] = list(spec.get("accessModes") or ())
    if old.get("phase") != phase:
        capacity = spec.get("capacity") or {}
        if not _same_size(capacity, old.get("capacity") or {}):
            status["capacity"] = dict(capacity)
        if old.get("phase") == "Pending" and spec.get("volumeAttributesClassName"):
            status["currentVolumeAttributesClassName"] = spec["volumeAttributesClassName"]
    return status


def _same_size(one: Obj, other: Obj) -> bool:
    sizes = [amounts.get("storage") for amounts in (one, other)]
    if not all(quantity.is_valid(size) for size in sizes):
        return False
    return quantity.parse(str(sizes[0])) == quantity.parse(str(sizes[1]))


class Fate(Enum):
    """What to do with a volume."""

    AVAILABLE = "Available"
    BOUND = "Bound"
    RELEASE = "release"
    UNBIND = "unbind"
    WAIT_FOR_CLAIM = "the claim is next"
    MISMATCH = "mismatch"


def plan_volume(volume: Obj, claim: Obj | None) -> Fate:
    """What becomes of a volume; `claim` is the one of the name it has, None when that is not there any more."""
    reference = meta.spec(volume).get("claimRef")
    if reference is None or not reference.get("uid"):
        return Fate.AVAILABLE
    if claim is None or meta.uid(claim) != reference["uid"]:
        return Fate.RELEASE
    wanted = meta.spec(claim).get("volumeName")
    if not wanted:
        return Fate.WAIT_FOR_CLAIM if has_mode_of(claim, volume) else Fate.MISMATCH
    if wanted == meta.name(volume):
        return Fate.BOUND
    if PROVISIONED_BY in meta.annotations(volume) and _policy(volume) == "Delete":
        return Fate.RELEASE
    return Fate.UNBIND


def is_released(volume: Obj, claim: Obj | None) -> bool:
    """Whether the volume may be taken back: its claim is gone, or has another volume."""
    return plan_volume(volume, claim) in (Fate.RELEASE, Fate.UNBIND)


def _policy(volume: Obj) -> str:
    return str(meta.spec(volume).get("persistentVolumeReclaimPolicy") or "Retain")


def unbound(volume: Obj) -> Obj:
    """The volume without its claim; one that a person reserved stays reserved for the name."""
    changed = meta.copy_of(volume)
    if BOUND_BY_CONTROLLER in meta.annotations(volume):
        changed["spec"].pop("claimRef", None)
        kept = {k: v for k, v in meta.annotations(volume).items() if k != BOUND_BY_CONTROLLER}
        changed["metadata"].pop("annotations", None)
        if kept:
            changed["metadata"]["annotations"] = kept
    else:
        changed["spec"]["claimRef"].pop("uid", None)
    return changed


def mismatch_notes(volume: Obj, claim: Obj) -> tuple[Note, Note]:
    """What a volume and the claim it is reserved for are told when one is of files and the other of blocks."""
    on_volume = (
        f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{meta.name(claim)}" '
        "due to incompatible volumeMode."
    )
    on_claim = (
        f'Cannot bind PersistentVolume "{meta.name(volume)}" to requested PersistentVolumeClaim '
        "due to incompatible volumeMode."
    )
    return (
        Note("Warning", "VolumeMismatch", on_volume),
        Note("Warning", "VolumeMismatch", on_claim),
    )
