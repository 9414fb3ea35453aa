"""Jobs: observe, scale, write down what ended, take the finalizers off, count, end.

Beside Jobs the queue holds Pods that still carry the finalizer of a Job that is gone: it is taken off, else they could
never be deleted.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.api.times import to_rfc3339
from controlplane.client.rest import STRATEGIC_MERGE_PATCH
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.job import status as states
from controlplane.controllers.job.backoff import Backoff
from controlplane.controllers.job.plan import (
    FINALIZER,
    Condition,
    Look,
    deadline_seconds,
    is_complete,
    is_finished,
    look,
    plan_release,
    plan_scale,
)
from controlplane.controllers.job.pods import new_pods
from controlplane.controllers.workloads.pod_control import PodControl, PodControlError, gather
from controlplane.controllers.workloads.selected_by import (
    concerned,
    is_of_kind,
    owners_of,
    selector_of,
)
from controlplane.kinds.batch.job.kind import JOBS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import is_ready
from controlplane.program.options import option

MANAGER = "kubernetes.io/job-controller"
_STALE_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What the controller can be told."""

    concurrent_job_syncs: int = option(5, "Jobs worked on at a time")


class Orphan(NamedTuple):
    """A Pod that may carry the finalizer of a Job that is gone."""

    namespace: str
    name: str
    what: str = "pod"


JobKey = Key | Orphan


@dataclass(frozen=True, slots=True)
class _Acted:
    """What scaling came to; `managed` when the number of Pods was looked at."""

    active: int
    ready: int
    terminating: int
    finish: Condition | None
    managed: bool = False
    error: APIError | None = None
    wait_seconds: float = 0.0


class JobReconciler:
    """Brings one Job nearer to its end."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._control = PodControl(context, JOBS)
        self._jobs = context.informers.of(JOBS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._backoffs: dict[Key, Backoff] = {}
        self._released: dict[Key, set[str]] = {}  # uids whose finalizer went, not yet seen to have
        self._written: dict[Key, tuple[str, int]] = {}  # uid and revision of our last write

    def job_changed(self, change: Change) -> Iterable[JobKey]:
        """The Job; and its Pods, when it is gone and they may wait for it."""
        keys: list[JobKey] = [meta.key_of(change.object)]
        if change.new is None:
            keys += [
                Orphan(*meta.key_of(pod))
                for pod in self._pods.by_owner(meta.uid(change.object))
                if FINALIZER in meta.finalizers(pod)
            ]
        return keys

    def pod_changed(self, change: Change) -> Iterable[JobKey]:
        """The Jobs a changed Pod concerns; settles expectations on the way."""
        self._control.saw(change)
        if change.new is None or FINALIZER not in meta.finalizers(change.new):
            for key in owners_of(change, JOBS):
                self._released.get(key, set()).discard(meta.uid(change.object))
        keys: list[JobKey] = list(concerned(change, JOBS, self._jobs))
        pod = change.new
        if pod is not None and FINALIZER in meta.finalizers(pod) and self._is_orphan(pod):
            keys.append(Orphan(*meta.key_of(pod)))
        return keys

    async def reconcile(self, key: JobKey) -> Result:
        """One look at one Job, or at a Pod that was left behind."""
        if isinstance(key, Orphan):
            return await self._release_orphan(key)
        job = self._jobs.get(key.name, key.namespace)
        if job is None:
            self._forget(key)
            return Result.done()
        if meta.spec(job).get("managedBy") not in (None, MANAGER):
            return Result.done()
        if is_finished(job):
            self._backoffs.pop(key, None)
            return Result.done()
        if self._is_stale(key, job):
            return Result.after(_STALE_LOOK_SECONDS)
        settled = self._control.is_settled(key)
        try:
            pods = await claim(
                self._client,
                job,
                JOBS,
                selector_of(job),
                PODS,
                self._pods.list(key.namespace),
                finalizers=(FINALIZER,),
            )
        except OwnerGone:
            return Result.done()
        now = self._clock.time()
        backoff = self._backoffs.get(key, Backoff())
        seen = look(job, pods, backoff, self._released.get(key, ()), now)
        acted = await self._act(seen, settled=settled, now=now)
        await self._count(key, seen, acted)
        if acted.error is not None:
            raise acted.error
        waits = [acted.wait_seconds] if acted.wait_seconds else []
        deadline = deadline_seconds(self._jobs.get(key.name, key.namespace) or job, now)
        if deadline is not None and acted.finish is None:
            waits.append(max(deadline, 0.0) + 0.01)
        return Result.after(min(waits)) if waits else Result.done()

    async def _act(self, seen: Look, *, settled: bool, now: float) -> _Acted:
        """Delete, or make, what there is too much or too little of."""
        active, ready, terminating = len(seen.active), seen.ready, seen.terminating
        error: APIError | None = None
        if seen.finish is not None:
            deleted, error = await self._delete(seen, seen.active)
            ready -= sum(is_ready(pod) for pod in deleted)
            is_over = len(deleted) == active and settled
            return _Acted(
                active - len(deleted),
                ready,
                terminating + len(deleted),
                seen.finish if is_over else None,
                error=error,
            )
        if not settled or meta.is_deleting(seen.job):
            finish = _completed() if is_complete(seen, active) else None
            return _Acted(active, ready, terminating, finish)
        scale = plan_scale(seen, now)
        if scale.delete:
            released, error = await self._release(scale.delete)
            victims = [pod for pod in scale.delete if meta.uid(pod) in released]
            deleted, later = await self._delete(seen, victims)
            error = error or later
            active -= len(deleted)
            terminating += len(deleted)
            ready -= sum(is_ready(pod) for pod in deleted)
        elif scale.create:
            try:
                active += await self._control.create(seen.job, new_pods(seen, scale))
            except PodControlError as failed:
                active, error = active + failed.done, failed.error
        finish = _completed() if is_complete(seen, active) else None
        return _Acted(
            active,
            ready,
            terminating,
            finish,
            managed=True,
            error=error,
            wait_seconds=scale.wait_seconds,
        )

    async def _delete(self, seen: Look, pods: Sequence[Obj]) -> tuple[list[Obj], APIError | None]:
        """Delete Pods; those that are gone or going, and the first refusal."""
        try:
            await self._control.delete(seen.job, pods)
        except PodControlError as failed:
            failed_names = failed.failed
            return [pod for pod in pods if meta.name(pod) not in failed_names], failed.error
        return list(pods), None

    async def _count(self, key: Key, seen: Look, acted: _Acted) -> None:
        """Write down, release, count, end: in this order, so that no Pod is counted twice or lost."""
        stamp = to_rfc3339(self._clock.time())
        released = plan_release(seen, acted.finish)
        status = states.write_down(
            seen,
            released,
            acted.finish,
            active=acted.active,
            ready=acted.ready,
            terminating=acted.terminating,
            now=stamp,
        )
        reason = ""
        if acted.managed and acted.finish is None:
            reason = states.set_suspended(seen.job, status, stamp)
        job = await self._write(key, seen.job, status)
        if reason:
            message = f"Job {reason.lower()}"
            self._recorder.event(job, "Normal", reason, message)
        self._backoffs[key] = seen.backoff
        tracked = {meta.uid(pod) for pod in seen.pods if seen.is_tracked(pod)}
        pending = self._released.setdefault(key, set())
        pending |= {meta.uid(pod) for pod in released}
        gone, error = await self._release(released)
        pending -= {meta.uid(pod) for pod in released} - gone
        status = states.settle(meta.status(job), tracked - gone)
        finish = acted.finish
        if finish is not None and finish.type == "FailureTarget":
            finish = Condition("Failed", finish.reason, finish.message)
        ended = states.end(status, finish, stamp) if error is None else None
        job = await self._write(key, job, ended or status)
        if error is not None:
            raise error
        if ended is not None and finish is not None:
            self._tell_end(job, finish)

    def _tell_end(self, job: Obj, finish: Condition) -> None:
        if not finish.is_success:
            self._recorder.event(job, "Warning", finish.reason, finish.message)
            return
        completions = meta.spec(job).get("completions")
        if completions is not None and int(meta.status(job).get("succeeded") or 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            self._recorder.event(job, "Warning", "TooManySucceededPods", message)
        self._recorder.event(job, "Normal", "Completed", "Job completed")

    async def _write(self, key: Key, job: Obj, status: Obj) -> Obj:
        if status == meta.status(job):
            return job
        job = await self._client.update_status(JOBS, {**job, "status": status})
        self._written[key] = (meta.uid(job), int(meta.resource_version(job) or 0))
        return job

    def _is_stale(self, key: Key, job: Obj) -> bool:
        """Whether the cache shows the Job as it was before our last write: Pods could be counted by an old sum."""
        uid, revision = self._written.get(key, ("", 0))
        version = meta.resource_version(job)
        return uid == meta.uid(job) and version.isdigit() and int(version) < revision

    async def _release(self, pods: Sequence[Obj]) -> tuple[set[str], APIError | None]:
        """Take the finalizer off; the uids it is off, and the first refusal."""
        gone: set[str] = set()

        def call(pod: Obj) -> Callable[[], Awaitable[None]]:
            async def release() -> None:
                if FINALIZER in meta.finalizers(pod):
                    await self._patch_off(pod)
                gone.add(meta.uid(pod))

            return release

        try:
            await gather([call(pod) for pod in pods])
        except APIError as error:
            return gone, error
        return gone, None

    async def _patch_off(self, pod: Obj) -> None:
        patch = {
            "metadata": {
                "uid": meta.uid(pod),
                "$deleteFromPrimitiveList/finalizers": [FINALIZER],
            }
        }
        try:
            await self._client.patch(
                PODS,
                meta.name(pod),
                patch,
                meta.namespace(pod),
                patch_type=STRATEGIC_MERGE_PATCH,
            )
        except NotFound:
            return

    def _is_orphan(self, pod: Obj) -> bool:
        reference = meta.controller_of(pod)
        if reference is None:
            return True
        if not is_of_kind(reference, JOBS):
            return False
        job = self._jobs.get(reference["name"], meta.namespace(pod))
        return job is None or meta.uid(job) != reference["uid"] or is_finished(job)

    async def _release_orphan(self, key: Orphan) -> Result:
        pod = self._pods.get(key.name, key.namespace)
        if pod is None or FINALIZER not in meta.finalizers(pod) or not self._is_orphan(pod):
            return Result.done()
        reference = meta.controller_of(pod)
        if reference is None and any(
            selector_of(job).matches(meta.labels(pod)) for job in self._jobs.list(key.namespace)
        ):
            return Result.done()  # a Job will adopt it
        if reference is not None and not await self._is_surely_gone(reference, key.namespace):
            return Result.after(_STALE_LOOK_SECONDS)
        await self._patch_off(pod)
        return Result.done()

    async def _is_surely_gone(self, reference: Obj, namespace: str) -> bool:
        """Asks the server: a cache that is late must not cost a Pod its count."""
        try:
            job = await self._client.get(JOBS, reference["name"], namespace)
        except NotFound:
            return True
        return meta.uid(job) != reference["uid"] or is_finished(job)

    def _forget(self, key: Key) -> None:
        self._control.forget(key)
        self._backoffs.pop(key, None)
        self._released.pop(key, None)
        self._written.pop(key, None)


def _completed() -> Condition:
    message = "Reached expected number of succeeded pods"
    return Condition("SuccessCriteriaMet", "CompletionsReached", message)


def _build(context: Context, options: JobOptions) -> Controller[JobKey]:
    reconciler = JobReconciler(context)
    watches = (Watch(JOBS, reconciler.job_changed), Watch(PODS, reconciler.pod_changed))
    return Controller("job-controller", watches, reconciler, workers=options.concurrent_job_syncs)


DESCRIPTOR = Descriptor("job-controller", _build, (JOBS, PODS), JobOptions, aliases=("job",))
