"""How many pods a metric asks for. Pure; amounts are thousandths, as upstream computes.

Pods that say nothing (no metric yet, not ready) must not make the count swing: for growing they count as using nothing,
for shrinking as using all they asked for, and a change that would then go the other way is not made.
Source: pkg/controller/podautoscaler/replica_calculator.go, metrics/utilization.go.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.api import conditions, meta, quantity, times
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.views import running_containers

MOST = 2**31 - 1


class MetricError(Exception):
    """The count cannot be computed; the message is shown to users."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far from the target a metric may be, down and up, before anything is done."""

    down: float
    up: float

    def covers(self, ratio: float) -> bool:
        """Whether use over target is near enough."""
        return (1.0 - self.down) <= ratio <= (1.0 + self.up)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one pod used, in thousandths, and over which time it was measured."""

    value: int
    at: float = 0.0
    window_seconds: float = 60.0


Samples = dict[str, Sample]
"""By the pod's name."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The count a metric asks for, and what it stands at; `utilization` is a percentage of the requests."""

    replicas: int
    usage: int
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How pods that begin are judged."""

    now: float
    initialization_seconds: float = 300.0
    readiness_delay_seconds: float = 30.0


@dataclass(slots=True)
class _Groups:
    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


def milli(value: object) -> int:
    """Thousandths, rounded up."""
    number = quantity.parse(str(value)) * 1000
    return -((-number.numerator) // number.denominator)


def _grouped(pods: Iterable[Obj], samples: Samples, resource: str, timing: Timing) -> _Groups:
    found = _Groups()
    for pod in pods:
        name, phase = meta.name(pod), meta.status(pod).get("phase")
        if meta.is_deleting(pod) or phase == "Failed":
            found.ignored.add(name)
        elif phase == "Pending":
            found.unready.add(name)
        elif name not in samples:
            found.missing.add(name)
        elif resource == "cpu" and _is_unready(pod, samples[name], timing):
            found.unready.add(name)
        else:
            found.ready += 1
    return found


def _is_unready(pod: Obj, sample: Sample, timing: Timing) -> bool:
    """Whether the use of a pod says nothing yet: starting costs processor time."""
    condition = conditions.get(pod, "Ready")
    started = times.parse_or_none(meta.status(pod).get("startTime"))
    if condition is None or started is None:
        return True
    is_false = condition.get("status") == "False"
    moved = times.parse_or_none(condition.get("lastTransitionTime")) or 0.0
    if started + timing.initialization_seconds > timing.now:
        return is_false or sample.at < moved + sample.window_seconds
    return is_false and started + timing.readiness_delay_seconds > moved


def requests_of(pods: Iterable[Obj], container: str, resource: str) -> dict[str, int]:
    """What each pod asks for, or one container of it. Raises MetricError for one that asks for nothing."""
    return {meta.name(pod): _request(pod, container, resource) for pod in pods}


def _request(pod: Obj, container: str, resource: str) -> int:
    name, spec = meta.name(pod), meta.spec(pod)
    whole = (spec.get("resources") or {}).get("requests")
    if whole and not container:
        if resource not in whole:
            raise MetricError(f"missing pod-level request for {resource} in Pod {name}")
        return milli(whole[resource])
    total = 0
    for row in running_containers(spec):
        if container in ("", row.get("name")):
            asked = (row.get("resources") or {}).get("requests") or {}
            if resource not in asked:
                raise MetricError(
                    f"missing request for {resource} in container {row.get('name')} of Pod {name}"
                )
            total += milli(asked[resource])
        if container and container == row.get("name"):
            return total
    if container:
        raise MetricError(f"container {container} not found in Pod {name}")
    return total


def utilization_replicas(
    current: int,
    target_percent: int,
    samples: Samples,
    pods: Sequence[Obj],
    resource: str,
    container: str,
    tolerances: Tolerances,
    timing: Timing,
) -> Proposal:
    """The count by the share of the requests that is used. Raises MetricError."""
    groups, known = _prepared(pods, samples, resource, timing)
    requests = requests_of(pods, container, resource)
    percent, average = _utilization(known, requests)
    fallback = max(100, target_percent)
    count = _settled(
        groups,
        known,
        current,
        percent / target_percent,
        tolerances,
        missing_amount=lambda name: requests[name] * fallback // 100,
        ratio_of=lambda all_: _utilization(all_, requests)[0] / target_percent,
    )
    return Proposal(count, average, percent)


def _utilization(samples: Mapping[str, int], requests: Mapping[str, int]) -> tuple[int, int]:
    """Percentage of the requests, and the average use."""
    known = [name for name in samples if name in requests]
    total, asked = sum(samples[name] for name in known), sum(requests[name] for name in known)
    if not asked:
        raise MetricError("no metrics returned matched known pods")
    return total * 100 // asked, total // len(known)


def average_replicas(
    current: int,
    target: int,
    samples: Samples,
    pods: Sequence[Obj],
    resource: str,
    tolerances: Tolerances,
    timing: Timing,
) -> Proposal:
    """The count by the average amount a pod uses. Raises MetricError."""
    groups, known = _prepared(pods, samples, resource, timing)

    def usage(of: Mapping[str, int]) -> int:
        return sum(of.values()) // len(of)

    average = usage(known)
    count = _settled(
        groups,
        known,
        current,
        average / target,
        tolerances,
        missing_amount=lambda name: target,
        ratio_of=lambda all_: usage(all_) / target,
    )
    return Proposal(count, average)


def _prepared(
    pods: Sequence[Obj], samples: Samples, resource: str, timing: Timing
) -> tuple[_Groups, dict[str, int]]:
    if not pods:
        raise MetricError("no pods returned by selector while calculating replica count")
    groups = _grouped(pods, samples, resource, timing)
    left_out = groups.ignored | groups.unready
    known = {name: one.value for name, one in samples.items() if name not in left_out}
    if not known:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return groups, known


def _settled(
    groups: _Groups,
    known: dict[str, int],
    current: int,
    ratio: float,
    tolerances: Tolerances,
    *,
    missing_amount: Callable[[str], int],
    ratio_of: Callable[[Mapping[str, int]], float],
) -> int:
    """The count once pods that say nothing were counted on the careful side."""
    grows_with_unready = bool(groups.unready) and ratio > 1.0
    if not grows_with_unready and not groups.missing:
        return current if tolerances.covers(ratio) else math.ceil(ratio * groups.ready)
    if ratio < 1.0:
        known |= {name: missing_amount(name) for name in groups.missing}
    elif ratio > 1.0:
        known |= dict.fromkeys(groups.missing, 0)
    if grows_with_unready:
        known |= dict.fromkeys(groups.unready, 0)
    new = ratio_of(known)
    turned = (ratio < 1.0 and new > 1.0) or (ratio > 1.0 and new < 1.0)
    if tolerances.covers(new) or turned:
        return current
    count = math.ceil(new * len(known))
    if (new < 1.0 and count > current) or (new > 1.0 and count < current):
        return current
    return count


def ratio_replicas(current: int, ratio: float, pods: Sequence[Obj], tolerances: Tolerances) -> int:
    """The count by one value for all pods, over its target. Raises MetricError."""
    if current == 0:
        return math.ceil(ratio)
    if tolerances.covers(ratio):
        return current
    if not pods:
        raise MetricError(
            "unable to calculate ready pods: no pods returned by selector while calculating "
            "replica count"
        )
    ready = sum(
        1
        for pod in pods
        if meta.status(pod).get("phase") == "Running" and conditions.is_true(pod, "Ready")
    )
    return min(MOST, math.ceil(ratio * ready))


def per_pod_replicas(current: int, usage: int, target: int, tolerances: Tolerances) -> Proposal:
    """The count by one value that is shared by all pods."""
    ratio = usage / (target * current) if current else math.inf
    count = current if tolerances.covers(ratio) else min(MOST, math.ceil(usage / target))
    return Proposal(count, math.ceil(usage / current) if current else usage)
