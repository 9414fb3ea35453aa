"""The next steps for a StatefulSet's Pods, and its status: pure.

With OrderedReady at most one Pod is made or removed at a time, and only while all before it are available; with
Parallel all are, at once. Updates go from the highest number down, never more than maxUnavailable Pods at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.statefulset import retention
from controlplane.controllers.statefulset.identity import (
    claims_of,
    has_identity,
    new_pod,
    ordinal_of,
    ordinals,
    revision_of,
)
from controlplane.controllers.workloads.pods import is_available
from controlplane.controllers.workloads.revisions import applied
from controlplane.kinds.core.pod.views import is_ended, is_ready

ClaimOf = Callable[[str], Obj | None]
"""A claim of the set's namespace by name; None when there is none."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make a Pod, and first its missing claims."""

    pod: Obj
    claims: tuple[Obj, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a Pod; `is_update` when a newer one is to take its place."""

    pod: Obj
    is_update: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """Put labels and volumes of a Pod right, and make claims that are missing."""

    pod: Obj
    claims: tuple[Obj, ...] = ()
    relabel: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """Give a claim these owners."""

    claim: Obj
    owners: tuple[Obj, ...]
    pod: Obj


Action = Create | Delete | Repair | Own


def is_parallel(set_: Obj) -> bool:
    """Whether Pods need not wait for each other."""
    return bool(meta.spec(set_).get("podManagementPolicy") == "Parallel")


def minimum_seconds(set_: Obj) -> int:
    """How long a Pod must be ready to be available."""
    return int(meta.spec(set_).get("minReadySeconds") or 0)


def plan_actions(
    set_: Obj, current: Obj, update: Obj, pods: Sequence[Obj], claim_of: ClaimOf, now: float
) -> list[Action]:
    """What to do now, in this order; `current` and `update` are revisions."""
    if meta.is_deleting(set_):
        return []
    planner = _Planner(set_, current, update, claim_of, now)
    wanted = ordinals(set_)
    by_ordinal = {ordinal_of(pod): pod for pod in pods}
    condemned = sorted(
        (pod for number, pod in by_ordinal.items() if number >= 0 and number not in wanted),
        key=ordinal_of,
        reverse=True,
    )
    for number in wanted:
        if planner.replica(number, by_ordinal.get(number)) and planner.is_ordered:
            return planner.actions
    for pod in condemned:
        planner.own_claims(pod)
    first = planner.first_unavailable([by_ordinal.get(n) for n in wanted], condemned)
    for pod in condemned:
        if planner.condemn(pod, first) and planner.is_ordered:
            return planner.actions
    replicas = [by_ordinal.get(number) for number in wanted]
    planner.roll(replicas)
    return planner.actions


class _Planner:
    """Collects actions; methods say whether an ordered set must stop there."""

    def __init__(self, set_: Obj, current: Obj, update: Obj, claim_of: ClaimOf, now: float) -> None:
        self.actions: list[Action] = []
        self.is_ordered = not is_parallel(set_)
        self._set, self._current, self._update = set_, current, update
        self._claim_of = claim_of
        self._now = now

    def replica(self, number: int, pod: Obj | None) -> bool:
        """Bring one wanted Pod about."""
        if pod is None:
            return self._create(number)
        if is_ended(pod):
            if not meta.is_deleting(pod):
                self.actions.append(Delete(pod))
            return True
        missing: tuple[Obj, ...] = ()
        if meta.status(pod).get("phase", "Pending") == "Pending":
            missing = self._missing_claims(number)
        must_stop = meta.is_deleting(pod) or not self._is_available(pod)
        relabel = not has_identity(self._set, pod) and not (must_stop and self.is_ordered)
        if missing or relabel:
            self.actions.append(Repair(pod, missing, relabel))
        if not must_stop or not self.is_ordered:
            self.own_claims(pod)
        return must_stop

    def _create(self, number: int) -> bool:
        revision = self._revision_for(number)
        pod = new_pod(applied(self._set, revision), number, meta.name(revision))
        for claim in claims_of(self._set, number):
            existing = self._claim_of(meta.name(claim))
            if existing is not None and retention.waits_for_stale(existing, pod, self._set):
                return True
        self.actions.append(Create(pod, self._missing_claims(number)))
        return True

    def _revision_for(self, number: int) -> Obj:
        """The old revision for Pods an update has not reached, the new one for all others."""
        strategy = meta.spec(self._set).get("updateStrategy") or {}
        start = ordinals(self._set).start
        rolling = strategy.get("rollingUpdate")
        if rolling is not None:
            is_old = number < start + int(rolling.get("partition") or 0)
        else:
            done = int(meta.status(self._set).get("currentReplicas") or 0)
            is_old = strategy.get("type") == "RollingUpdate" and number < start + done
        return self._current if is_old else self._update

    def _missing_claims(self, number: int) -> tuple[Obj, ...]:
        found = []
        for claim in claims_of(self._set, number):
            if self._claim_of(meta.name(claim)) is None:
                owners = retention.owners(claim, self._set, new_pod(self._set, number, ""))
                if owners:
                    claim["metadata"]["ownerReferences"] = owners
                found.append(claim)
        return tuple(found)

    def own_claims(self, pod: Obj) -> None:
        """Bring the owners of a Pod's claims to what the retention policy says."""
        for wanted in claims_of(self._set, ordinal_of(pod)):
            claim = self._claim_of(meta.name(wanted))
            owners = None if claim is None else retention.owners(claim, self._set, pod)
            if claim is not None and owners is not None:
                self.actions.append(Own(claim, tuple(owners), pod))

    def first_unavailable(self, replicas: Sequence[Obj | None], condemned: Sequence[Obj]) -> str:
        """The uid of the unavailable Pod with the lowest number; it may go though it is not ready."""
        for pod in [*replicas, *reversed(condemned)]:
            if pod is None:
                return ""
            if meta.is_deleting(pod) or not self._is_available(pod):
                return meta.uid(pod)
        return ""

    def condemn(self, pod: Obj, first_unavailable: str) -> bool:
        """Take away a Pod that is not wanted."""
        if meta.is_deleting(pod):
            return True
        if self.is_ordered and not self._is_available(pod) and meta.uid(pod) != first_unavailable:
            return True
        self.actions.append(Delete(pod))
        return True

    def roll(self, replicas: Sequence[Obj | None]) -> None:
        """Replace Pods of older revisions, as many as may be unavailable."""
        strategy = meta.spec(self._set).get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        rolling = strategy.get("rollingUpdate") or {}
        limit = _resolved(rolling.get("maxUnavailable"), len(replicas))
        unavailable = sum(
            pod is None or meta.is_deleting(pod) or not self._is_available(pod) for pod in replicas
        )
        room = limit - unavailable
        partition = int(rolling.get("partition") or 0)
        for pod in reversed(replicas[partition:]):
            if room <= 0:
                return
            if pod is None or meta.is_deleting(pod):
                continue
            if revision_of(pod) != meta.name(self._update):
                self.actions.append(Delete(pod, is_update=True))
                room -= 1

    def _is_available(self, pod: Obj) -> bool:
        return meta.status(pod).get("phase") == "Running" and is_available(
            pod, minimum_seconds(self._set), self._now
        )


def _resolved(value: int | str | None, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return max(1, int(value[:-1]) * total // 100)
    return max(1, 1 if value is None else int(value))


def plan_status(
    set_: Obj,
    current: Obj,
    update: Obj,
    pods: Sequence[Obj],
    actions: Sequence[Action],
    collision_count: int,
    now: float,
) -> Obj:
    """The status after these actions; a finished update makes the new revision the current one."""
    alive = [pod for pod in pods if not meta.is_deleting(pod)]
    running = [p for p in pods if meta.status(p).get("phase") == "Running" and is_ready(p)]
    minimum = minimum_seconds(set_)
    names = meta.name(current), meta.name(update)
    counts = {
        "replicas": len(pods),
        "readyReplicas": len(running),
        "availableReplicas": sum(is_available(pod, minimum, now) for pod in running),
        "currentReplicas": sum(revision_of(pod) == names[0] for pod in alive),
        "updatedReplicas": sum(revision_of(pod) == names[1] for pod in alive),
    }
    counts["currentReplicas"] -= sum(isinstance(a, Delete) and a.is_update for a in actions)
    wanted = len(ordinals(set_))
    strategy = (meta.spec(set_).get("updateStrategy") or {}).get("type")
    if strategy == "RollingUpdate" and all(
        counts[name] == wanted for name in ("updatedReplicas", "readyReplicas", "replicas")
    ):
        counts["currentReplicas"] = counts["updatedReplicas"]
        names = names[1], names[1]
    status: Obj = {
        "observedGeneration": meta.generation(set_),
        "replicas": counts.pop("replicas"),
        "availableReplicas": counts.pop("availableReplicas"),
        "currentRevision": names[0],
        "updateRevision": names[1],
        "collisionCount": collision_count,
    }
    status.update({name: count for name, count in counts.items() if count > 0})
    if meta.status(set_).get("conditions"):
        status["conditions"] = meta.status(set_)["conditions"]
    return status
