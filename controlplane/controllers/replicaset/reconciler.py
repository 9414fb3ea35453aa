"""ReplicaSets: claim Pods, make or delete some, write the status."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.expectations import Expectations
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of, to_itself
from controlplane.controllers.replicaset.plan import (
    is_active,
    new_pod,
    next_look_seconds,
    plan_scale,
    plan_status,
)
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
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._expectations = Expectations(context.clock)
        self._replicasets = context.informers.of(REPLICA_SETS).indexer
        self._pods = context.informers.of(PODS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The ReplicaSets a changed Pod concerns; settles expectations on the way."""
        keys: dict[Key, None] = {}
        for pod in (change.old, change.new):
            owner = None if pod is None else meta.controller_of(pod)
            if pod is not None and owner is not None and owner["kind"] == "ReplicaSet":
                key = Key(meta.namespace(pod), owner["name"])
                keys[key] = None
                if change.new is None or meta.is_deleting(pod):
                    self._expectations.deletion_seen(key, meta.uid(pod))
                elif change.old is None:
                    self._expectations.creation_seen(key)
        if change.new is not None and meta.controller_of(change.new) is None:
            labels = meta.labels(change.new)
            for replicaset in self._replicasets.list(meta.namespace(change.new)):
                if _selector(replicaset).matches(labels):
                    keys[key_of(replicaset)] = None
        return keys

    async def reconcile(self, key: Key) -> Result:
        """Bring one ReplicaSet's Pods to the number wanted."""
        replicaset = self._replicasets.get(key.name, key.namespace)
        if replicaset is None:
            self._expectations.forget(key)
            return Result.done()
        may_scale = self._expectations.satisfied(key)
        candidates = [pod for pod in self._pods.list(key.namespace) if is_active(pod)]
        try:
            pods = await claim(
                self._client, replicaset, REPLICA_SETS, _selector(replicaset), PODS, candidates
            )
        except OwnerGone:
            return Result.done()
        failure: tuple[str, str] | None = None
        error: APIError | None = None
        if may_scale and not meta.is_deleting(replicaset):
            try:
                await self._scale(key, replicaset, pods)
            except _ScaleFailed as failed:
                failure, error = (failed.reason, str(failed.error)), failed.error
        now = self._clock.time()
        status = plan_status(replicaset, pods, now, failure)
        if status != meta.status(replicaset):
            await self._client.update_status(REPLICA_SETS, {**replicaset, "status": status})
        if error is not None:
            raise error
        wait = next_look_seconds(replicaset, pods, now)
        return Result.done() if wait is None else Result.after(wait)

    async def _scale(self, key: Key, replicaset: Obj, pods: Sequence[Obj]) -> None:
        wanted = meta.spec(replicaset).get("replicas")
        related = self._related(replicaset, pods)
        plan = plan_scale(1 if wanted is None else int(wanted), pods, related, self._clock.time())
        if plan.create:
            self._expectations.expect_creations(key, plan.create)
            await self._create(key, replicaset, plan.create)
        elif plan.delete:
            self._expectations.expect_deletions(key, [meta.uid(pod) for pod in plan.delete])
            await _gather([self._deletion(key, replicaset, pod) for pod in plan.delete])

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

    async def _create(self, key: Key, replicaset: Obj, count: int) -> None:
        """Batches of 1, 2, 4, …: a template that is refused costs one request, not hundreds."""
        done, batch = 0, 1
        while done < count:
            size = min(batch, count - done)
            try:
                await _gather([self._creation(key, replicaset) for _ in range(size)])
            except _ScaleFailed:
                for _ in range(count - done - size):
                    self._expectations.creation_seen(key)
                raise
            done += size
            batch *= 2

    def _creation(self, key: Key, replicaset: Obj) -> Callable[[], Awaitable[None]]:
        async def create() -> None:
            try:
                pod = await self._client.create(PODS, new_pod(replicaset), key.namespace)
            except APIError as error:
                self._expectations.creation_seen(key)
                if any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                    return
                message = f"Error creating: {error}"
                self._recorder.event(replicaset, "Warning", "FailedCreate", message)
                raise _ScaleFailed("FailedCreate", error) from error
            except BaseException:
                self._expectations.creation_seen(key)
                raise
            message = f"Created pod: {meta.name(pod)}"
            self._recorder.event(replicaset, "Normal", "SuccessfulCreate", message)

        return create

    def _deletion(self, key: Key, replicaset: Obj, pod: Obj) -> Callable[[], Awaitable[None]]:
        async def delete() -> None:
            name = meta.name(pod)
            try:
                await self._client.delete(PODS, name, key.namespace, uid=meta.uid(pod))
            except NotFound:
                self._expectations.deletion_seen(key, meta.uid(pod))
                return
            except APIError as error:
                self._expectations.deletion_seen(key, meta.uid(pod))
                message = f"Error deleting: {error}"
                self._recorder.event(replicaset, "Warning", "FailedDelete", message)
                raise _ScaleFailed("FailedDelete", error) from error
            self._recorder.event(replicaset, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

        return delete


class _ScaleFailed(Exception):
    def __init__(self, reason: str, error: APIError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


async def _gather(calls: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all, let each end, then raise the first failure."""
    results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _selector(replicaset: Obj) -> LabelSelector:
    return LabelSelector.from_object(meta.spec(replicaset).get("selector"))


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
