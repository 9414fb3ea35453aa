"""ReplicaSets: claim Pods, make or delete some, write the status."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.replicaset.plan import plan_scale, plan_status
from controlplane.controllers.workloads.pod_control import PodControl, PodControlError
from controlplane.controllers.workloads.pods import is_active, next_available_seconds, pod_of
from controlplane.controllers.workloads.selected_by import concerned, selector_of
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class ReplicaSetOptions:
    """What the controller can be told."""

    concurrent_replicaset_syncs: int = option(5, "ReplicaSets worked on at a time")


def _build(context: Context, options: ReplicaSetOptions) -> Controller[Key]:
    reconciler = ReplicaSetReconciler(context)
    return Controller(
        "replicaset-controller",
        (Watch(REPLICA_SETS, to_itself), Watch(PODS, reconciler.pod_changed)),
        reconciler,
        workers=options.concurrent_replicaset_syncs,
    )


class ReplicaSetReconciler:
    """Brings one ReplicaSet's Pods to the number wanted."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._control = PodControl(context, REPLICA_SETS)
        self._replicasets = context.informers.of(REPLICA_SETS).indexer
        self._pods = context.informers.of(PODS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The ReplicaSets a changed Pod concerns; settles expectations on the way."""
        self._control.saw(change)
        return concerned(change, REPLICA_SETS, self._replicasets)

    async def reconcile(self, key: Key) -> Result:
        """Bring one ReplicaSet's Pods to the number wanted."""
        replicaset = self._replicasets.get(key.name, key.namespace)
        if replicaset is None:
            self._control.forget(key)
            return Result.done()
        may_scale = self._control.is_settled(key)
        candidates = [pod for pod in self._pods.list(key.namespace) if is_active(pod)]
        try:
            pods = await claim(
                self._client, replicaset, REPLICA_SETS, selector_of(replicaset), PODS, candidates
            )
        except OwnerGone:
            return Result.done()
        failure: tuple[str, str] | None = None
        error: APIError | None = None
        if may_scale and not meta.is_deleting(replicaset):
            try:
                await self._scale(replicaset, pods)
            except PodControlError as failed:
                failure, error = (failed.reason, str(failed.error)), failed.error
        now = self._clock.time()
        status = plan_status(replicaset, pods, now, failure)
        if status != meta.status(replicaset):
            await self._client.update_status(REPLICA_SETS, {**replicaset, "status": status})
        if error is not None:
            raise error
        minimum = int(meta.spec(replicaset).get("minReadySeconds") or 0)
        wait = next_available_seconds(pods, minimum, now)
        return Result.done() if wait is None else Result.after(wait)

    async def _scale(self, replicaset: Obj, pods: Sequence[Obj]) -> None:
        wanted = meta.spec(replicaset).get("replicas")
        related = self._related(replicaset, pods)
        plan = plan_scale(1 if wanted is None else int(wanted), pods, related, self._clock.time())
        if plan.create:
            template = meta.spec(replicaset).get("template") or {}
            await self._control.create(
                replicaset, [pod_of(template, replicaset) for _ in range(plan.create)]
            )
        elif plan.delete:
            await self._control.delete(replicaset, plan.delete)

    def _related(self, replicaset: Obj, pods: Sequence[Obj]) -> Sequence[Obj]:
        """Active Pods of all ReplicaSets of the same owner."""
        owner = meta.controller_of(replicaset)
        if owner is None:
            return pods
        siblings = self._replicasets.by_owner(owner["uid"])
        return [
            pod
            for sibling in siblings
            for pod in self._pods.by_owner(meta.uid(sibling))
            if is_active(pod)
        ]


DESCRIPTOR = Descriptor(
    "replicaset-controller",
    _build,
    (
        REPLICA_SETS,
        PODS,
    ),
    ReplicaSetOptions,
    aliases=("replicaset",),
)
