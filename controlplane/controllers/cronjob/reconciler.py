"""CronJobs: look at the Jobs, make the one that is due, cut the history, write the status, wait for the next time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.api.times import to_rfc3339
from controlplane.controllers.cronjob.plan import (
    due,
    new_job,
    observe,
    reference_to,
    surplus,
    with_active,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.controllers.workloads.selected_by import owners_of
from controlplane.kinds.batch.cron_job import CRON_JOBS
from controlplane.kinds.batch.job.kind import JOBS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class CronJobOptions:
    """What the controller can be told."""

    concurrent_cron_job_syncs: int = option(5, "CronJobs worked on at a time")


class CronJobReconciler:
    """Serves one CronJob."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._crons = context.informers.of(CRON_JOBS).indexer
        self._jobs = context.informers.of(JOBS).indexer

    def job_changed(self, change: Change) -> Iterable[Key]:
        """The CronJob that made it."""
        return owners_of(change, CRON_JOBS)

    async def reconcile(self, key: Key) -> Result:
        """One look at one CronJob."""
        cron = self._crons.get(key.name, key.namespace)
        if cron is None:
            return Result.done()
        jobs = [
            job for job in self._jobs.by_owner(meta.uid(cron)) if meta.is_controlled_by(job, cron)
        ]
        status, events, missing = observe(cron, jobs)
        for kind, reason, message in events:
            self._recorder.event(cron, kind, reason, message)
        status = await self._without_missing(cron, status, missing)
        now = self._clock.time()
        plan = due(cron, status, now)
        for kind, reason, message in plan.events:
            self._recorder.event(cron, kind, reason, message)
        error: APIError | None = None
        if plan.at is not None:
            try:
                status = await self._start(cron, status, plan.at)
            except APIError as failed:
                error = failed
        for job in surplus(cron, jobs):
            status = await self._delete(cron, status, job)
        if status != meta.status(cron):
            await self._client.update_status(CRON_JOBS, {**cron, "status": status})
        if error is not None and not is_namespace_ending(error):
            raise error
        if plan.next_at is None:
            return Result.done()
        return Result.after(plan.next_at - self._clock.time() + 0.1)

    async def _without_missing(self, cron: Obj, status: Obj, missing: Sequence[Obj]) -> Obj:
        """Strike off active Jobs the server does not have either."""
        active = list(status.get("active") or ())
        for reference in missing:
            name = reference.get("name", "")
            try:
                job = await self._client.get(JOBS, name, meta.namespace(cron))
                is_gone = meta.uid(job) != reference.get("uid")
            except NotFound:
                is_gone = True
            if is_gone:
                active.remove(reference)
                message = f"Active job went missing: {name}"
                self._recorder.event(cron, "Normal", "MissingJob", message)
        return with_active(status, active)

    async def _start(self, cron: Obj, status: Obj, at: float) -> Obj:
        """Make the Job of a time; the status that knows it."""
        namespace = meta.namespace(cron)
        if meta.spec(cron).get("concurrencyPolicy") == "Replace":
            for reference in list(status.get("active") or ()):
                try:
                    job = await self._client.get(JOBS, reference["name"], namespace)
                except NotFound:
                    continue
                status = await self._delete(cron, status, job)
        wanted = new_job(cron, at)
        try:
            job = await self._client.create(JOBS, wanted, namespace)
        except AlreadyExists:
            job = await self._client.get(JOBS, meta.name(wanted), namespace)
            if not meta.is_controlled_by(job, cron):
                return status
        except APIError as error:
            if not is_namespace_ending(error):
                message = f"Error creating job: {error}"
                self._recorder.event(cron, "Warning", "FailedCreate", message)
            raise
        else:
            message = f"Created job {meta.name(job)}"
            self._recorder.event(cron, "Normal", "SuccessfulCreate", message)
        active = [ref for ref in status.get("active") or () if ref.get("uid") != meta.uid(job)]
        status = with_active(status, [*active, reference_to(job)])
        return {**status, "lastScheduleTime": to_rfc3339(at)}

    async def _delete(self, cron: Obj, status: Obj, job: Obj) -> Obj:
        name = meta.name(job)
        try:
            await self._client.delete(
                JOBS,
                name,
                meta.namespace(job),
                uid=meta.uid(job),
                propagation_policy="Background",
            )
        except NotFound:
            pass
        except APIError as error:
            self._recorder.event(cron, "Warning", "FailedDelete", f"Deleted job: {error}")
            return status
        self._recorder.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name}")
        active = [ref for ref in status.get("active") or () if ref.get("uid") != meta.uid(job)]
        return with_active(status, active)


def _build(context: Context, options: CronJobOptions) -> Controller[Key]:
    reconciler = CronJobReconciler(context)
    watches = (Watch(CRON_JOBS, to_itself), Watch(JOBS, reconciler.job_changed))
    return Controller(
        "cronjob-controller", watches, reconciler, workers=options.concurrent_cron_job_syncs
    )


DESCRIPTOR = Descriptor(
    "cronjob-controller", _build, (CRON_JOBS, JOBS), CronJobOptions, aliases=("cronjob",)
)
