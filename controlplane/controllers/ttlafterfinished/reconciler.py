"""Deletes Jobs whose time after their end is over, with their Pods; the server's own word is asked before."""

import contextlib
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import NotFound
from controlplane.api.meta import Key
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import to_itself
from controlplane.controllers.ttlafterfinished.plan import expires_at
from controlplane.kinds.batch.job.kind import JOBS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class TtlOptions:
    """What the controller can be told."""

    concurrent_ttl_after_finished_syncs: int = option(5, "Jobs worked on at a time")


class TtlReconciler:
    """Looks at one Job."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._jobs = context.informers.of(JOBS).indexer

    async def reconcile(self, key: Key) -> Result:
        """Delete the Job, or wait for its time."""
        job = self._jobs.get(key.name, key.namespace)
        due = None if job is None else expires_at(job)
        if due is None:
            return Result.done()
        left = due - self._clock.time()
        if left > 0:
            return Result.after(left + 0.05)
        with contextlib.suppress(NotFound):
            # The time may have been made longer a moment ago.
            fresh = await self._client.get(JOBS, key.name, key.namespace)
            again = expires_at(fresh)
            if again is None:
                return Result.done()
            if again > self._clock.time():
                return Result.after(again - self._clock.time() + 0.05)
            await self._client.delete(
                JOBS,
                key.name,
                key.namespace,
                uid=meta.uid(fresh),
                resource_version=meta.resource_version(fresh),
                propagation_policy="Foreground",
            )
        return Result.done()


def _build(context: Context, options: TtlOptions) -> Controller[Key]:
    return Controller(
        "ttl-after-finished-controller",
        (Watch(JOBS, to_itself),),
        TtlReconciler(context),
        workers=options.concurrent_ttl_after_finished_syncs,
    )


DESCRIPTOR = Descriptor(
    "ttl-after-finished-controller",
    _build,
    (JOBS,),
    TtlOptions,
    aliases=("ttl-after-finished",),
)
