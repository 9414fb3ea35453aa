"""Deployments: claim ReplicaSets, take the next step of the rollout, write the status.

Rolling back is what `kubectl rollout undo` does by itself: it writes the old template, and the ReplicaSet that has it
becomes the new one again with a new revision number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.meta import Obj
from controlplane.controllers.deployment import status as states
from controlplane.controllers.deployment.plan import (
    bounds,
    is_recreate,
    is_scaling,
    plan_cleanup,
    plan_resize,
    plan_rollout,
    replicas_of,
)
from controlplane.controllers.deployment.revision import (
    REVISION,
    find_new,
    new_annotations,
    new_replicaset,
    revision_of,
    same_template,
    size_annotations,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of, to_itself
from controlplane.controllers.workloads.selected_by import concerned, selector_of
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import is_ended
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class DeploymentOptions:
    """What the controller can be told."""

    concurrent_deployment_syncs: int = option(5, "Deployments worked on at a time")


def _build(context: Context, options: DeploymentOptions) -> Controller[Key]:
    reconciler = DeploymentReconciler(context)
    watches = (
        Watch(DEPLOYMENTS, to_itself),
        Watch(REPLICA_SETS, reconciler.replicaset_changed),
        Watch(PODS, reconciler.pod_changed),
    )
    return Controller(
        "deployment-controller", watches, reconciler, workers=options.concurrent_deployment_syncs
    )


class DeploymentReconciler:
    """Takes one step of one Deployment at a time."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._deployments = context.informers.of(DEPLOYMENTS).indexer
        self._replicasets = context.informers.of(REPLICA_SETS).indexer
        self._pods = context.informers.of(PODS).indexer

    def replicaset_changed(self, change: Change) -> Iterable[Key]:
        """Its owner now and before; for one without owner, every Deployment that selects it."""
        return concerned(change, DEPLOYMENTS, self._deployments)

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """A Pod that is gone or ended lets a Recreate rollout go on; nothing else about Pods matters."""
        pod = change.object
        if change.new is not None and not is_ended(change.new):
            return ()
        owner = meta.controller_of(pod)
        if owner is None or owner["kind"] != "ReplicaSet":
            return ()
        replicaset = self._replicasets.get(owner["name"], meta.namespace(pod))
        above = None if replicaset is None else meta.controller_of(replicaset)
        if above is None or above["kind"] != "Deployment":
            return ()
        deployment = self._deployments.get(above["name"], meta.namespace(pod))
        if deployment is None or not is_recreate(deployment):
            return ()
        return (key_of(deployment),)

    async def reconcile(self, key: Key) -> Result:
        """One step for one Deployment."""
        deployment = self._deployments.get(key.name, key.namespace)
        if deployment is None:
            return Result.done()
        selector = selector_of(deployment)
        if selector.empty:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._recorder.event(deployment, "Warning", "SelectingAll", message)
            return Result.done()
        try:
            replicasets = await claim(
                self._client,
                deployment,
                DEPLOYMENTS,
                selector,
                REPLICA_SETS,
                self._replicasets.list(key.namespace),
            )
        except OwnerGone:
            return Result.done()
        new = find_new(deployment, replicasets)
        olds = [rs for rs in replicasets if rs is not new]
        if meta.is_deleting(deployment):
            return await self._write_status(deployment, new, olds, rolling=False)
        new = await self._annotate(deployment, new, olds)
        rolling = not meta.spec(deployment).get("paused") and not is_scaling(
            deployment, replicasets
        )
        if rolling:
            left = self._old_pods_left(olds)
            plan = plan_rollout(deployment, new, olds, old_pods_left=left)
        else:
            plan = plan_resize(deployment, new, olds)
        created = plan.create is not None
        if plan.create is not None:
            new = await self._create(deployment, olds, plan.create)
        for replicaset, size in plan.scale:
            await self._scale(deployment, replicaset, size)
        if new is not None:
            deployment = await self._number(deployment, new)
        return await self._write_status(deployment, new, olds, rolling=rolling, created=created)

    async def _annotate(self, deployment: Obj, new: Obj | None, olds: Sequence[Obj]) -> Obj | None:
        """Keep revision numbers and copied annotations right on both sides."""
        if new is None:
            return None
        surge, _ = bounds(deployment)
        annotations = new_annotations(deployment, new, olds, replicas_of(deployment) + surge)
        minimum = int(meta.spec(deployment).get("minReadySeconds") or 0)
        outdated = int(meta.spec(new).get("minReadySeconds") or 0) != minimum
        if annotations != meta.annotations(new) or outdated:
            changed = {
                **new,
                "metadata": {**new["metadata"], "annotations": annotations},
                "spec": {**new["spec"], "minReadySeconds": minimum},
            }
            new = await self._client.update(REPLICA_SETS, changed)
        return new

    async def _number(self, deployment: Obj, new: Obj) -> Obj:
        """Write the current revision on the Deployment; returns it as it is then."""
        revision = str(revision_of(new))
        if meta.annotations(deployment).get(REVISION) == revision:
            return deployment
        # An update, as upstream's: its role knows no patch of Deployments.
        annotations = {**meta.annotations(deployment), REVISION: revision}
        fields = {**meta.metadata(deployment), "annotations": annotations}
        return await self._client.update(DEPLOYMENTS, {**deployment, "metadata": fields})

    async def _create(self, deployment: Obj, olds: Sequence[Obj], replicas: int) -> Obj:
        surge, _ = bounds(deployment)
        annotations = new_annotations(deployment, None, olds, replicas_of(deployment) + surge)
        collisions = int(meta.status(deployment).get("collisionCount") or 0)
        wanted = new_replicaset(deployment, replicas, annotations, collisions)
        name, namespace = meta.name(wanted), meta.namespace(deployment)
        try:
            created = await self._client.create(REPLICA_SETS, wanted, namespace)
        except AlreadyExists:
            existing = await self._client.get(REPLICA_SETS, name, namespace)
            template = meta.spec(deployment).get("template") or {}
            if meta.is_controlled_by(existing, deployment) and same_template(
                meta.spec(existing).get("template") or {}, template
            ):
                return existing  # ours, not in the cache yet
            status = {**meta.status(deployment), "collisionCount": collisions + 1}
            await self._client.update_status(DEPLOYMENTS, {**deployment, "status": status})
            raise
        except APIError as error:
            await self._report_failed_create(deployment, name, error)
            raise
        if replicas > 0:
            message = f"Scaled up replica set {name} from 0 to {replicas}"
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)
        return created

    async def _report_failed_create(self, deployment: Obj, name: str, error: APIError) -> None:
        message = f'Failed to create new replica set "{name}": {error}'
        self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if states.deadline_seconds(deployment) is None or error.status_code >= 500:
            return
        status = meta.copy_of(meta.status(deployment))
        reason = "ReplicaSetCreateError"
        states.set_condition(status, "Progressing", "False", reason, message, self._clock.time())
        if status != meta.status(deployment):
            await self._client.update_status(DEPLOYMENTS, {**deployment, "status": status})

    async def _scale(self, deployment: Obj, replicaset: Obj, size: int) -> None:
        surge, _ = bounds(deployment)
        wanted = replicas_of(deployment)
        annotations = {**meta.annotations(replicaset), **size_annotations(wanted, wanted + surge)}
        before = replicas_of(replicaset)
        if size == before and annotations == meta.annotations(replicaset):
            return
        changed = {
            **replicaset,
            "metadata": {**replicaset["metadata"], "annotations": annotations},
            "spec": {**replicaset["spec"], "replicas": size},
        }
        await self._client.update(REPLICA_SETS, changed)
        if size != before:
            way = "up" if size > before else "down"
            name = meta.name(replicaset)
            message = f"Scaled {way} replica set {name} from {before} to {size}"
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    def _old_pods_left(self, olds: Sequence[Obj]) -> bool:
        return any(not is_ended(pod) for old in olds for pod in self._pods.by_owner(meta.uid(old)))

    async def _write_status(
        self,
        deployment: Obj,
        new: Obj | None,
        olds: Sequence[Obj],
        *,
        rolling: bool,
        created: bool = False,
    ) -> Result:
        now = self._clock.time()
        status = states.plan_status(deployment, new, olds, now)
        states.add_paused(deployment, status, now)
        if new is not None and not meta.is_deleting(deployment):
            states.add_found(deployment, status, new, now, created=created)
        if rolling:
            states.add_progress(deployment, status, new, now)
            states.add_failure(status, [*([new] if new else []), *olds], now)
        if status != meta.status(deployment):
            await self._client.update_status(DEPLOYMENTS, {**deployment, "status": status})
        if meta.spec(deployment).get("paused") or states.is_complete(deployment, status):
            await self._cleanup(deployment, olds)
        wait = states.next_look_seconds(deployment, status, now)
        return Result.done() if wait is None else Result.after(wait)

    async def _cleanup(self, deployment: Obj, olds: Sequence[Obj]) -> None:
        if meta.is_deleting(deployment):
            return
        for old in plan_cleanup(deployment, olds):
            try:
                await self._client.delete(
                    REPLICA_SETS, meta.name(old), meta.namespace(old), uid=meta.uid(old)
                )
            except NotFound:
                continue


DESCRIPTOR = Descriptor(
    "deployment-controller",
    _build,
    (
        DEPLOYMENTS,
        REPLICA_SETS,
        PODS,
    ),
    DeploymentOptions,
    aliases=("deployment",),
)
