"""Counts the Pods of budgets and what their controllers want of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.api.selectors import LabelSelector
from controlplane.controllers.disruption.plan import (
    failed_status,
    needs_scale,
    plan_status,
    still_going,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.workloads.selected_by import selector_of
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class DisruptionOptions:
    """What the controller can be told."""

    concurrent_disruption_syncs: int = option(5, "budgets worked on at a time")


class _NoController(Exception):
    """Nobody can say how many Pods there should be."""


class DisruptionReconciler:
    """Keeps the status of one budget."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._kinds = context.kinds
        self._budgets = context.informers.of(POD_DISRUPTION_BUDGETS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._replicasets = context.informers.of(REPLICA_SETS).indexer
        self._deployments = context.informers.of(DEPLOYMENTS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The budgets that select the Pod now or did before."""
        labels = [meta.labels(pod) for pod in (change.old, change.new) if pod is not None]
        return [
            meta.key_of(budget)
            for budget in self._budgets.list(meta.namespace(change.object))
            if any(_selects(budget, found) for found in labels)
        ]

    def owner_changed(self, change: Change) -> Iterable[Key]:
        """Every budget of the namespace, when a workload was scaled."""
        seen = [owner for owner in (change.old, change.new) if owner is not None]
        if len(seen) == 2 and _replicas(seen[0]) == _replicas(seen[1]):
            return ()
        return [meta.key_of(b) for b in self._budgets.list(meta.namespace(change.object))]

    async def reconcile(self, key: Key) -> Result:
        """Count for one budget."""
        budget = self._budgets.get(key.name, key.namespace)
        if budget is None:
            return Result.done()
        pods = [p for p in self._pods.list(key.namespace) if _selects(budget, meta.labels(p))]
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        now = self._clock.time()
        going, failed, wait = still_going(budget, pods, now)
        for pod in failed:
            # Upstream names the namespace twice.
            where = f"{key.namespace}/{key.namespace}"
            message = f"Pod was expected by PDB {where} to be deleted but it wasn't"
            self._recorder.event(pod, "Warning", "NotDeleted", message)
        try:
            scale = await self._scale(budget, pods) if needs_scale(budget) else 0
        except (_NoController, APIError) as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            reason = "CalculateExpectedPodCountFailed"
            self._recorder.event(budget, "Warning", reason, message)
            await self._write(budget, failed_status(budget, str(error), now))
            raise
        await self._write(budget, plan_status(budget, pods, going, scale, now))
        return Result.done() if wait is None else Result.after(wait)

    async def _write(self, budget: Obj, status: Obj) -> None:
        if status != meta.status(budget):
            # The revision guards against an eviction that was allowed meanwhile.
            await self._client.update_status(POD_DISRUPTION_BUDGETS, {**budget, "status": status})

    async def _scale(self, budget: Obj, pods: Sequence[Obj]) -> int:
        """How many Pods their controllers want together, each counted once."""
        found: dict[str, int] = {}
        unmanaged = False
        for pod in pods:
            reference = meta.controller_of(pod)
            if reference is None:
                unmanaged = True
            elif reference["uid"] not in found:
                uid, size = await self._size_of(reference, pod)
                found[uid] = size
                found.setdefault(reference["uid"], 0)
        if unmanaged:
            selector = meta.spec(budget).get("selector") or {}
            message = (
                f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be "
                "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which "
                "may result in undefined behavior. To account for these pods please set "
                '".spec.minAvailable" field of the PDB to an integer value.'
            )
            self._recorder.event(budget, "Warning", "UnmanagedPods", message)
        return sum(found.values())

    async def _size_of(self, reference: Obj, pod: Obj) -> tuple[str, int]:
        """The uid and wanted size of the workload at the top."""
        namespace = meta.namespace(pod)
        if reference.get("kind") == "ReplicaSet":
            replicaset = self._replicasets.get(reference["name"], namespace)
            above = None if replicaset is None else meta.controller_of(replicaset)
            if above is not None and above.get("kind") == "Deployment":
                deployment = self._deployments.get(above["name"], namespace)
                if deployment is not None and meta.uid(deployment) == above["uid"]:
                    return above["uid"], _replicas(deployment)
            if replicaset is not None and meta.uid(replicaset) == reference["uid"]:
                return reference["uid"], _replicas(replicaset)
        resource = await self._kinds.find(reference.get("apiVersion", ""), reference["kind"])
        if resource is not None and resource.subresource("scale") is not None:
            path = f"{resource.path(namespace, reference['name'])}/scale"
            try:
                # The scale is all that this controller's role lets it read of any kind.
                scale = await self._client.get_path(path)
            except NotFound:
                scale = {}
            if meta.uid(scale) == reference["uid"]:
                return reference["uid"], _replicas(scale)
        raise _NoController(f'found no controllers for pod "{meta.name(pod)}"')


def _replicas(obj: Obj) -> int:
    value = meta.spec(obj).get("replicas")
    return 1 if value is None else int(value)


def _selects(budget: Obj, labels: dict[str, str]) -> bool:
    if meta.spec(budget).get("selector") is None:
        return False
    selector: LabelSelector = selector_of(budget)
    return selector.matches(labels)


def _build(context: Context, options: DisruptionOptions) -> Controller[Key]:
    reconciler = DisruptionReconciler(context)
    watches = (
        Watch(POD_DISRUPTION_BUDGETS, to_itself),
        Watch(PODS, reconciler.pod_changed),
        Watch(REPLICA_SETS, reconciler.owner_changed),
        Watch(DEPLOYMENTS, reconciler.owner_changed),
    )
    return Controller(
        "disruption-controller", watches, reconciler, workers=options.concurrent_disruption_syncs
    )


DESCRIPTOR = Descriptor(
    "disruption-controller",
    _build,
    (POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, DEPLOYMENTS),
    DisruptionOptions,
    aliases=("disruption",),
    component="controllermanager",
)
