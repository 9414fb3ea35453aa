"""One look at a Job: what its Pods amount to, what to do about them, and which of them can be counted: pure.

Counting is upstream's, and never counts a Pod twice or loses one: a Pod carries a finalizer until it is counted. First
its uid is written into `status.uncountedTerminatedPods` (indexes go straight into `completedIndexes`), then the
finalizer is taken off, then the uid becomes a number. Whatever is interrupted in between is found again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none
from controlplane.controllers.job import indexes
from controlplane.controllers.job.backoff import Backoff, finished_at
from controlplane.controllers.job.policies import judge, success_message
from controlplane.controllers.workloads.pods import in_order_of_deletion, is_active
from controlplane.kinds.core.pod.views import is_ready

FINALIZER = "batch.kubernetes.io/job-tracking"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
# How many Pods are made, deleted or counted in one go.
BURST = 500


@dataclass(frozen=True, slots=True)
class Condition:
    """The end a Job comes to: `type` is FailureTarget, Failed or SuccessCriteriaMet."""

    type: str
    reason: str
    message: str

    @property
    def is_success(self) -> bool:
        """Whether the Job completes."""
        return self.type == "SuccessCriteriaMet"


@dataclass(frozen=True, slots=True)
class Scale:
    """What to do with active Pods now; `indexes` are those of the Pods to make (empty: a Job without indexes)."""

    create: int = 0
    indexes: tuple[int, ...] = ()
    delete: tuple[Obj, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a Job and its Pods. `failed_indexes` is None when failures are not counted by index."""

    job: Obj
    pods: tuple[Obj, ...]
    active: tuple[Obj, ...]
    terminating: int
    succeeded: int
    failed: int
    backoff: Backoff
    finish: Condition | None
    expected_released: frozenset[str]
    succeeded_indexes: frozenset[int] = frozenset()
    failed_indexes: frozenset[int] | None = None
    replaced: dict[int, Obj] = field(default_factory=dict)
    """By index, the failed Pod that stays uncounted until its successor carries on its count of failures."""

    def is_tracked(self, pod: Obj) -> bool:
        """Whether the Pod is still to be counted."""
        return FINALIZER in meta.finalizers(pod) and meta.uid(pod) not in self.expected_released

    @property
    def ready(self) -> int:
        """How many active Pods are ready."""
        return sum(is_ready(pod) for pod in self.active)


def is_indexed(job: Obj) -> bool:
    """Whether each Pod of the Job has an index of its own."""
    return bool(meta.spec(job).get("completionMode") == "Indexed")


def is_finished(job: Obj) -> bool:
    """Whether the Job is complete or has failed."""
    return any(conditions.is_true(job, kind) for kind in ("Complete", "Failed"))


def is_suspended(job: Obj) -> bool:
    """Whether the Job must not run now."""
    return bool(meta.spec(job).get("suspend"))


def replaces_failed_only(job: Obj) -> bool:
    """Whether a Pod that is going away is replaced only when it has ended."""
    spec = meta.spec(job)
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def has_failed(job: Obj, pod: Obj) -> bool:
    """Whether the Pod counts as a failure."""
    phase = meta.status(pod).get("phase")
    if phase == "Failed":
        return True
    if replaces_failed_only(job):
        return False
    return meta.is_deleting(pod) and phase != "Succeeded"


def look(
    job: Obj, pods: Sequence[Obj], backoff: Backoff, expected_released: Iterable[str], now: float
) -> Look:
    """Everything the decisions stand on."""
    spec, status = meta.spec(job), meta.status(job)
    uncounted = status.get("uncountedTerminatedPods") or {}
    base = Look(
        job=job,
        pods=tuple(pods),
        active=tuple(pod for pod in pods if is_active(pod)),
        terminating=sum(_is_terminating(pod) for pod in pods),
        succeeded=0,
        failed=0,
        backoff=backoff,
        finish=None,
        expected_released=frozenset(expected_released),
    )
    new_succeeded = _new(base, "Succeeded", uncounted.get("succeeded") or ())
    new_failed = _new(base, "Failed", uncounted.get("failed") or ())
    counted = [pod for pod in new_failed if judge(job, pod).is_counted]
    succeeded = int(status.get("succeeded") or 0) + len(new_succeeded)
    succeeded += len(uncounted.get("succeeded") or ())
    failed = int(status.get("failed") or 0) + len(counted) + len(uncounted.get("failed") or ())
    done: frozenset[int] = frozenset()
    broken: frozenset[int] | None = None
    replaced: dict[int, Obj] = {}
    if is_indexed(job):
        completions = int(spec["completions"])
        done = indexes.parse(status.get("completedIndexes"), completions) | {
            index
            for pod in pods
            if meta.status(pod).get("phase") == "Succeeded"
            and FINALIZER in meta.finalizers(pod)
            and (index := indexes.index_of(pod)) is not None
            and index < completions
        }
        succeeded = len(done)
        if spec.get("backoffLimitPerIndex") is not None:
            broken = indexes.parse(status.get("failedIndexes"), completions) | _newly_broken(base)
            replaced = _replaced(base, done, broken)
    finish = _finish(base, succeeded, failed, done, broken, now)
    return Look(
        job=job,
        pods=base.pods,
        active=base.active,
        terminating=base.terminating,
        succeeded=succeeded,
        failed=failed,
        backoff=backoff.after(new_succeeded, new_failed),
        finish=finish,
        expected_released=base.expected_released,
        succeeded_indexes=done,
        failed_indexes=broken,
        replaced=replaced,
    )


def _is_terminating(pod: Obj) -> bool:
    return meta.is_deleting(pod) and meta.status(pod).get("phase") not in ("Succeeded", "Failed")


def _new(seen: Look, phase: str, uncounted: Iterable[str]) -> list[Obj]:
    """Pods that ended and are in no count yet."""
    known = set(uncounted)
    found = []
    for pod in seen.pods:
        if not seen.is_tracked(pod) or meta.uid(pod) in known:
            continue
        if is_indexed(seen.job) and not _has_valid_index(seen.job, pod):
            continue
        if phase == "Failed":
            ended = has_failed(seen.job, pod)
        else:
            ended = meta.status(pod).get("phase") == phase
        if ended:
            found.append(pod)
    return found


def _has_valid_index(job: Obj, pod: Obj) -> bool:
    index = indexes.index_of(pod)
    return index is not None and index < int(meta.spec(job)["completions"])


def _failure_count(pod: Obj | None, *names: str) -> int:
    total = 0
    for name in names if pod is not None else ():
        text = meta.annotations(pod).get(name, "0") if pod is not None else "0"
        total += int(text) if text.isdigit() else 0
    return total


def _newly_broken(seen: Look) -> set[int]:
    limit = int(meta.spec(seen.job)["backoffLimitPerIndex"])
    found = set()
    for pod in seen.pods:
        index = indexes.index_of(pod)
        if index is None or not _has_valid_index(seen.job, pod):
            continue
        if FINALIZER not in meta.finalizers(pod) or not has_failed(seen.job, pod):
            continue
        verdict = judge(seen.job, pod)
        is_over = verdict.is_counted and _failure_count(pod, FAILURES) >= limit
        if verdict.action == "FailIndex" or is_over:
            found.add(index)
    return found


def _replaced(seen: Look, done: frozenset[int], broken: frozenset[int]) -> dict[int, Obj]:
    active = {indexes.index_of(pod) for pod in seen.active}
    found: dict[int, Obj] = {}
    for pod in seen.pods:
        index = indexes.index_of(pod)
        if index is None or not _has_valid_index(seen.job, pod) or not seen.is_tracked(pod):
            continue
        if not has_failed(seen.job, pod) or index in done or index in broken or index in active:
            continue
        before = found.get(index)
        if before is None or _rank(before) <= _rank(pod):
            found[index] = pod
    return found


def _rank(pod: Obj) -> tuple[int, float]:
    return _failure_count(pod, FAILURES, IGNORED_FAILURES), finished_at(pod)


def _finish(
    seen: Look,
    succeeded: int,
    failed: int,
    done: frozenset[int],
    broken: frozenset[int] | None,
    now: float,
) -> Condition | None:
    job, spec = seen.job, meta.spec(seen.job)
    for kind in ("SuccessCriteriaMet", "FailureTarget"):
        earlier = conditions.get(job, kind)
        if earlier is not None and earlier.get("status") == "True":
            ends_as = "Failed" if kind == "FailureTarget" else kind
            return Condition(ends_as, earlier.get("reason", ""), earlier.get("message", ""))
    for pod in seen.pods:
        if spec.get("podFailurePolicy") is not None and has_failed(job, pod):
            message = judge(job, pod).message
            if message:
                return _failing("PodFailurePolicy", message)
    limit = int(spec["backoffLimit"])
    if failed > limit or _restarts_exceed(seen, limit):
        return _failing("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    deadline = deadline_seconds(job, now)
    if deadline is not None and deadline <= 0:
        return _failing("DeadlineExceeded", "Job was active longer than specified deadline")
    if broken is not None:
        most = spec.get("maxFailedIndexes")
        if most is not None and len(broken) > int(most):
            message = "Job has exceeded the specified maximal number of failed indexes"
            return _failing("MaxFailedIndexesExceeded", message)
        if broken and len(broken) + len(done) >= int(spec["completions"]):
            return _failing("FailedIndexes", "Job has failed indexes")
    message = success_message(job, done) if is_indexed(job) else ""
    return Condition("SuccessCriteriaMet", "SuccessPolicy", message) if message else None


def _failing(reason: str, message: str) -> Condition:
    return Condition("FailureTarget", reason, message)


def _restarts_exceed(seen: Look, limit: int) -> bool:
    template = (meta.spec(seen.job).get("template") or {}).get("spec") or {}
    if template.get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in seen.pods:
        status = meta.status(pod)
        if status.get("phase") in ("Running", "Pending"):
            for name in ("initContainerStatuses", "containerStatuses"):
                restarts += sum(int(s.get("restartCount") or 0) for s in status.get(name) or ())
    return restarts > 0 if limit == 0 else restarts >= limit


def deadline_seconds(job: Obj, now: float) -> float | None:
    """How long the Job may run yet; None when it has no deadline, has not begun, or is suspended."""
    limit = meta.spec(job).get("activeDeadlineSeconds")
    started = meta.status(job).get("startTime")
    if limit is None or not started or is_suspended(job):
        return None
    return (parse_or_none(started) or 0.0) + float(limit) - now


def plan_scale(seen: Look, now: float) -> Scale:
    """Bring the number of active Pods to what is wanted. Not for Jobs that end."""
    spec = meta.spec(seen.job)
    active = len(seen.active)
    if is_suspended(seen.job):
        return Scale(delete=tuple(_for_removal(seen, active, now)[:BURST]))
    parallelism = int(spec.get("parallelism", 1))
    if spec.get("completions") is None:
        wanted = active if seen.succeeded > 0 else parallelism
    else:
        wanted = max(0, min(parallelism, int(spec["completions"]) - seen.succeeded))
    removed = _for_removal(seen, max(0, active - wanted), now)
    if removed:
        return Scale(delete=tuple(removed[:BURST]))
    waiting = seen.terminating if replaces_failed_only(seen.job) else 0
    missing = min(BURST, wanted - waiting - active)
    if missing <= 0:
        return Scale()
    by_index = spec.get("backoffLimitPerIndex") is not None
    if not by_index:
        delay = seen.backoff.remaining_seconds(now)
        if delay > 0:
            return Scale(wait_seconds=delay)
    if not is_indexed(seen.job):
        return Scale(create=missing)
    free = _free_indexes(seen, missing)
    if by_index:
        delays = {index: _index_delay(seen.replaced.get(index), now) for index in free}
        due = [index for index in free if delays[index] <= 0]
        if free and not due:
            return Scale(wait_seconds=min(delays.values()))
        free = due
    return Scale(create=len(free), indexes=tuple(free))


def _index_delay(replaced: Obj | None, now: float) -> float:
    if replaced is None:
        return 0.0
    failures = _failure_count(replaced, FAILURES, IGNORED_FAILURES) + 1
    return Backoff(failures, finished_at(replaced)).remaining_seconds(now)


def _free_indexes(seen: Look, count: int) -> list[int]:
    taken = set(seen.succeeded_indexes) | (seen.failed_indexes or frozenset())
    taken |= {i for pod in seen.active if (i := indexes.index_of(pod)) is not None}
    if replaces_failed_only(seen.job):
        taken |= {
            i
            for pod in seen.pods
            if _is_terminating(pod) and (i := indexes.index_of(pod)) is not None
        }
    return indexes.first_free(taken, int(meta.spec(seen.job)["completions"]), count)


def _for_removal(seen: Look, at_least: int, now: float) -> list[Obj]:
    """Pods of no use - a second one of an index, an index out of range - and others up to `at_least`."""
    left = list(in_order_of_deletion(seen.active, seen.active, now))
    useless: list[Obj] = []
    if is_indexed(seen.job):
        # The last in the order of deletion is the one to keep.
        kept = {indexes.index_of(pod): meta.uid(pod) for pod in left}
        useless = [
            pod
            for pod in left
            if not _has_valid_index(seen.job, pod) or kept[indexes.index_of(pod)] != meta.uid(pod)
        ]
        gone = {meta.uid(pod) for pod in useless}
        left = [pod for pod in left if meta.uid(pod) not in gone]
    return useless + left[: max(0, at_least - len(useless))]


def is_complete(seen: Look, active: int) -> bool:
    """Whether enough Pods have succeeded and none runs any more."""
    completions = meta.spec(seen.job).get("completions")
    if completions is None:
        return seen.succeeded > 0 and active == 0
    return seen.succeeded >= int(completions) and active == 0


def plan_release(seen: Look, finish: Condition | None) -> list[Obj]:
    """The Pods whose finalizer may go once they are written down, in order of their index."""
    found = []
    for pod in sorted(seen.pods, key=lambda p: indexes.index_of(p) or 0):
        if not seen.is_tracked(pod):
            continue
        phase = meta.status(pod).get("phase")
        is_over = meta.is_deleting(seen.job) or finish is not None or phase == "Succeeded"
        if not is_over:
            if not has_failed(seen.job, pod):
                continue
            index = indexes.index_of(pod)
            kept = seen.replaced.get(index) if index is not None else None
            if kept is not None and meta.uid(kept) == meta.uid(pod):
                continue
        found.append(pod)
    return found[:BURST]
