"""One step of a rollout: which ReplicaSet gets how many replicas now. Pure.

A step is small on purpose: after each the status is written and the next step follows the changes it caused. The
arithmetic is upstream's, because users see it in events and rely on its bounds: never fewer than
replicas - maxUnavailable available, never more than replicas + maxSurge in all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.deployment.revision import (
    DESIRED,
    MAXIMUM,
    annotation_number,
    by_age,
    revision_of,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: make the new ReplicaSet with so many replicas, scale some, remove old history."""

    create: int | None = None
    scale: tuple[tuple[Obj, int], ...] = ()
    delete: tuple[Obj, ...] = ()


def replicas_of(obj: Obj) -> int:
    """spec.replicas, by default 1."""
    value = meta.spec(obj).get("replicas")
    return 1 if value is None else int(value)


def is_recreate(deployment: Obj) -> bool:
    """Whether all old Pods must be gone before new ones come."""
    return bool((meta.spec(deployment).get("strategy") or {}).get("type") == "Recreate")


def bounds(deployment: Obj) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in Pods; (0, 0) for Recreate."""
    if is_recreate(deployment):
        return 0, 0
    rolling = (meta.spec(deployment).get("strategy") or {}).get("rollingUpdate") or {}
    replicas = replicas_of(deployment)
    surge = _resolve(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # with both zero nothing could ever move
    return surge, min(unavailable, replicas)


def _resolve(value: int | str, total: int, rounding: Any) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return int(rounding(int(value[:-1]) * total / 100))
    return int(value)


def plan_rollout(
    deployment: Obj, new: Obj | None, olds: Sequence[Obj], *, old_pods_left: bool
) -> Plan:
    """The next step towards all replicas on the new template."""
    if is_recreate(deployment):
        return _recreate(deployment, new, olds, old_pods_left=old_pods_left)
    if new is None:
        return Plan(create=_new_size(deployment, 0, olds))
    if replicas_of(new) != replicas_of(deployment):
        wanted = min(replicas_of(deployment), _new_size(deployment, replicas_of(new), [*olds, new]))
        if wanted != replicas_of(new):
            return Plan(scale=((new, wanted),))
    scales = _shrink_old(deployment, new, olds)
    return Plan(scale=tuple(scales))


def _recreate(
    deployment: Obj, new: Obj | None, olds: Sequence[Obj], *, old_pods_left: bool
) -> Plan:
    to_zero = tuple((old, 0) for old in olds if replicas_of(old) > 0)
    if to_zero:
        return Plan(scale=to_zero)
    if old_pods_left:
        return Plan()
    wanted = replicas_of(deployment)
    if new is None:
        return Plan(create=wanted)
    return Plan(scale=((new, wanted),)) if replicas_of(new) != wanted else Plan()


def _new_size(deployment: Obj, current: int, everything: Sequence[Obj]) -> int:
    surge, _ = bounds(deployment)
    allowed = replicas_of(deployment) + surge - sum(map(replicas_of, everything))
    if allowed <= 0:
        return current
    return current + min(allowed, replicas_of(deployment) - current)


def _shrink_old(deployment: Obj, new: Obj, olds: Sequence[Obj]) -> list[tuple[Obj, int]]:
    everything = [*olds, new]
    if sum(map(replicas_of, olds)) == 0:
        return []
    _, unavailable = bounds(deployment)
    minimum = replicas_of(deployment) - unavailable
    new_unavailable = replicas_of(new) - _available(new)
    allowed = sum(map(replicas_of, everything)) - minimum - new_unavailable
    if allowed <= 0:
        return []
    sizes = {meta.name(old): replicas_of(old) for old in olds}
    # First Pods that do not work anyway: they cost no availability.
    for old in by_age(olds):
        size = sizes[meta.name(old)]
        broken = min(allowed, size - _available(old)) if size else 0
        if broken > 0:
            sizes[meta.name(old)] -= broken
            allowed -= broken
    spare = sum(map(_available, everything)) - minimum
    for old in by_age(olds):
        size = sizes[meta.name(old)]
        if spare <= 0:
            break
        removed = min(size, spare)
        sizes[meta.name(old)] -= removed
        spare -= removed
    return [
        (old, sizes[meta.name(old)])
        for old in by_age(olds)
        if sizes[meta.name(old)] != replicas_of(old)
    ]


def _available(replicaset: Obj) -> int:
    return int(meta.status(replicaset).get("availableReplicas") or 0)


def is_scaling(deployment: Obj, replicasets: Sequence[Obj]) -> bool:
    """Whether the Deployment's size was changed since its ReplicaSets were sized."""
    for replicaset in replicasets:
        desired = annotation_number(replicaset, DESIRED)
        if replicas_of(replicaset) and desired not in (None, replicas_of(deployment)):
            return True
    return False


def plan_resize(deployment: Obj, new: Obj | None, olds: Sequence[Obj]) -> Plan:
    """Spread a changed size, in proportion if a rollout is under way; makes no ReplicaSet."""
    active = [rs for rs in (*olds, new) if rs is not None and replicas_of(rs) > 0]
    wanted = replicas_of(deployment)
    if len(active) <= 1:
        only = active[0] if active else new or (by_age(olds)[-1] if olds else None)
        if only is None or replicas_of(only) == wanted:
            return Plan()
        return Plan(scale=((only, wanted),))
    if new is not None and _saturated(deployment, new):
        return Plan(scale=tuple((old, 0) for old in olds if replicas_of(old) > 0))
    if is_recreate(deployment):
        return Plan()
    surge, _ = bounds(deployment)
    allowed = wanted + surge if wanted > 0 else 0
    to_add = allowed - sum(map(replicas_of, active))
    # Growing: largest and newest first; shrinking: largest and oldest first.
    active = by_age(active)
    if to_add > 0:
        active.reverse()
    active.sort(key=replicas_of, reverse=True)
    sizes = {}
    added = 0
    for replicaset in active:
        share = 0 if to_add == 0 else _share(deployment, replicaset, surge, to_add - added)
        sizes[meta.name(replicaset)] = replicas_of(replicaset) + share
        added += share
    if to_add != added:
        first = meta.name(active[0])
        sizes[first] = max(0, sizes[first] + to_add - added)
    # Unchanged ones too: their size annotations must follow, else this never ends.
    return Plan(scale=tuple((rs, sizes[meta.name(rs)]) for rs in active))


def _saturated(deployment: Obj, new: Obj) -> bool:
    wanted = replicas_of(deployment)
    return (
        replicas_of(new) == wanted
        and annotation_number(new, DESIRED) == wanted
        and _available(new) == wanted
    )


def _share(deployment: Obj, replicaset: Obj, surge: int, left: int) -> int:
    size = replicas_of(replicaset)
    if left == 0 or size == 0:
        return 0
    if replicas_of(deployment) == 0:
        fraction = -size
    else:
        before = annotation_number(replicaset, MAXIMUM) or int(
            meta.status(deployment).get("replicas") or 0
        )
        after = replicas_of(deployment) + surge
        fraction = (math.floor(size * after / before + 0.5) if before else size) - size
    return min(fraction, left) if left > 0 else max(fraction, left)


def plan_cleanup(deployment: Obj, olds: Sequence[Obj]) -> tuple[Obj, ...]:
    """Old, empty ReplicaSets beyond revisionHistoryLimit, lowest revision first."""
    limit = meta.spec(deployment).get("revisionHistoryLimit", 10)
    if limit is None:
        return ()
    alive = sorted((old for old in olds if not meta.is_deleting(old)), key=revision_of)
    surplus = alive[: max(0, len(alive) - int(limit))]
    return tuple(
        old
        for old in surplus
        if not replicas_of(old)
        and not meta.status(old).get("replicas")
        and meta.observed_generation(old) >= meta.generation(old)
    )
