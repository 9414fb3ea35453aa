"""A number of like Pods - a ReplicaSet's, a ReplicationController's: claim, make or delete some, write the status."""

from collections.abc import Callable, Iterable, Sequence

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.workloads.pod_control import PodControl, PodControlError
from controlplane.controllers.workloads.pods import is_active, next_available_seconds, pod_of
from controlplane.controllers.workloads.replica_count import plan_scale, plan_status
from controlplane.controllers.workloads.selected_by import concerned, selector_of
from controlplane.kinds.core.pod.resource import PODS


class ReplicasReconciler:
    """Brings the Pods of one owner of kind `resource` to the number wanted."""

    def __init__(
        self,
        context: Context,
        resource: Resource,
        selector: Callable[[Obj], LabelSelector] = selector_of,
    ) -> None:
        self._client = context.client
        self._clock = context.clock
        self._resource = resource
        self._selector = selector
        self._control = PodControl(context, resource)
        self._owners = context.informers.of(resource).indexer
        self._pods = context.informers.of(PODS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The owners a changed Pod concerns; settles expectations on the way."""
        self._control.saw(change)
        return concerned(change, self._resource, self._owners, self._selector)

    async def reconcile(self, key: Key) -> Result:
        """Bring one owner's Pods to the number wanted."""
        owner = self._owners.get(key.name, key.namespace)
        if owner is None:
            self._control.forget(key)
            return Result.done()
        may_scale = self._control.is_settled(key)
        candidates = [pod for pod in self._pods.list(key.namespace) if is_active(pod)]
        try:
            pods = await claim(
                self._client, owner, self._resource, self._selector(owner), PODS, candidates
            )
        except OwnerGone:
            return Result.done()
        failure: tuple[str, str] | None = None
        error: APIError | None = None
        if may_scale and not meta.is_deleting(owner):
            try:
                await self._scale(owner, pods)
            except PodControlError as failed:
                failure, error = (failed.reason, str(failed.error)), failed.error
        now = self._clock.time()
        status = plan_status(owner, pods, now, failure)
        if status != meta.status(owner):
            await self._client.update_status(self._resource, {**owner, "status": status})
        if error is not None:
            raise error
        minimum = int(meta.spec(owner).get("minReadySeconds") or 0)
        wait = next_available_seconds(pods, minimum, now)
        return Result.done() if wait is None else Result.after(wait)

    async def _scale(self, owner: Obj, pods: Sequence[Obj]) -> None:
        wanted = meta.spec(owner).get("replicas")
        related = self._related(owner, pods)
        plan = plan_scale(1 if wanted is None else int(wanted), pods, related, self._clock.time())
        if plan.create:
            template = meta.spec(owner).get("template") or {}
            await self._control.create(owner, [pod_of(template, owner) for _ in range(plan.create)])
        elif plan.delete:
            await self._control.delete(owner, plan.delete)

    def _related(self, owner: Obj, pods: Sequence[Obj]) -> Sequence[Obj]:
        """Active Pods of all owners under the same controller: those of one rollout."""
        above = meta.controller_of(owner)
        if above is None:
            return pods
        siblings = self._owners.by_owner(above["uid"])
        return [
            pod
            for sibling in siblings
            for pod in self._pods.by_owner(meta.uid(sibling))
            if is_active(pod)
        ]
