"""StatefulSets: claim Pods and revisions, take the next steps, write the status, cut the history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.owners import OwnerGone, claim
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.statefulset import retention
from controlplane.controllers.statefulset.identity import is_member, revision_of, with_identity
from controlplane.controllers.statefulset.plan import (
    Action,
    ClaimOf,
    Create,
    Delete,
    Own,
    Repair,
    minimum_seconds,
    plan_actions,
    plan_status,
)
from controlplane.controllers.workloads.history import cut, keep_newest
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.controllers.workloads.pods import next_available_seconds
from controlplane.controllers.workloads.revisions import in_order
from controlplane.controllers.workloads.selected_by import concerned, owners_of, selector_of
from controlplane.kinds.apps.controller_revision import CONTROLLER_REVISIONS
from controlplane.kinds.apps.stateful_set import STATEFUL_SETS
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class StatefulSetOptions:
    """What the controller can be told."""

    concurrent_statefulset_syncs: int = option(5, "StatefulSets worked on at a time")


class StatefulSetReconciler:
    """Takes the next steps of one StatefulSet."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._sets = context.informers.of(STATEFUL_SETS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._revisions = context.informers.of(CONTROLLER_REVISIONS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The sets a changed Pod concerns."""
        return concerned(change, STATEFUL_SETS, self._sets)

    def revision_changed(self, change: Change) -> Iterable[Key]:
        """The set of a revision that was deleted or changed by others."""
        return owners_of(change, STATEFUL_SETS)

    async def reconcile(self, key: Key) -> Result:
        """The next steps of one set."""
        set_ = self._sets.get(key.name, key.namespace)
        if set_ is None:
            return Result.done()
        selector = selector_of(set_)
        try:
            revisions = await claim(
                self._client, set_, STATEFUL_SETS, selector, CONTROLLER_REVISIONS,
                self._revisions.list(key.namespace),
            )  # fmt: skip
            candidates = [
                pod
                for pod in self._pods.list(key.namespace)
                if is_member(set_, pod) or meta.is_controlled_by(pod, set_)
            ]
            pods = await claim(
                self._client, set_, STATEFUL_SETS, selector, PODS, candidates,
                may_adopt=lambda pod: is_member(set_, pod),
            )  # fmt: skip
        except OwnerGone:
            return Result.done()
        collisions = int(meta.status(set_).get("collisionCount") or 0)
        update, collisions = await keep_newest(self._client, set_, revisions, collisions)
        named = meta.status(set_).get("currentRevision")
        current = next((r for r in revisions if meta.name(r) == named), update)
        now = self._clock.time()
        actions = plan_actions(set_, current, update, pods, self._claim_in(key.namespace), now)
        done: list[Action] = []
        error: APIError | None = None
        for action in actions:
            try:
                await self._do(set_, action)
            except APIError as failed:
                error = failed
                break
            done.append(action)
        status = plan_status(set_, current, update, pods, done, collisions, now)
        if status != meta.status(set_):
            await self._client.update_status(STATEFUL_SETS, {**set_, "status": status})
        if error is not None and not is_namespace_ending(error):
            raise error
        await self._cut_history(set_, [*revisions, update], pods, current, update)
        wait = next_available_seconds(pods, minimum_seconds(set_), now)
        return Result.done() if wait is None else Result.after(wait)

    def _claim_in(self, namespace: str) -> ClaimOf:
        return lambda name: self._claims.get(name, namespace)

    async def _cut_history(
        self, set_: Obj, revisions: Sequence[Obj], pods: Sequence[Obj], current: Obj, update: Obj
    ) -> None:
        if meta.is_deleting(set_):
            return
        limit = meta.spec(set_).get("revisionHistoryLimit")
        live = {meta.name(current), meta.name(update), *map(revision_of, pods)}
        unique = {meta.name(revision): revision for revision in in_order(revisions)}
        await cut(self._client, list(unique.values()), live, 10 if limit is None else int(limit))

    async def _do(self, set_: Obj, action: Action) -> None:
        match action:
            case Create():
                await self._create_claims(set_, action.pod, action.claims)
                await self._create(set_, action.pod)
            case Delete():
                await self._delete(set_, action.pod)
            case Repair():
                await self._create_claims(set_, action.pod, action.claims)
                if action.relabel:
                    await self._update(set_, action.pod)
            case Own():
                await self._own(set_, action)

    async def _create(self, set_: Obj, pod: Obj) -> None:
        try:
            await self._client.create(PODS, pod, meta.namespace(set_))
        except AlreadyExists:
            raise  # a Pod of the name is still going, or the cache is late: look again
        except APIError as error:
            self._tell(set_, "Create", pod, error)
            raise
        self._tell(set_, "Create", pod)

    async def _delete(self, set_: Obj, pod: Obj) -> None:
        try:
            await self._client.delete(PODS, meta.name(pod), meta.namespace(pod), uid=meta.uid(pod))
        except NotFound:
            pass
        except APIError as error:
            self._tell(set_, "Delete", pod, error)
            raise
        self._tell(set_, "Delete", pod)

    async def _update(self, set_: Obj, pod: Obj) -> None:
        try:
            await self._client.update(PODS, with_identity(set_, pod))
        except APIError as error:
            self._tell(set_, "Update", pod, error)
            raise
        self._tell(set_, "Update", pod)

    async def _own(self, set_: Obj, action: Own) -> None:
        name = meta.name(action.claim)
        if retention.has_other_controller(action.claim, set_, action.pod):
            message = (
                f"PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a "
                "manging controller, the retention policy is ignored for this claim"
            )
            self._recorder.event(set_, "Warning", "ConflictingController", message)
        metadata = {**action.claim["metadata"], "ownerReferences": list(action.owners)}
        try:
            await self._client.update(
                PERSISTENT_VOLUME_CLAIMS, {**action.claim, "metadata": metadata}
            )
        except APIError as error:
            reason = f"could not update claim {name} for delete policy ownerRefs: {error}"
            self._tell(set_, "Update", action.pod, reason)
            raise

    async def _create_claims(self, set_: Obj, pod: Obj, claims: Sequence[Obj]) -> None:
        for wanted in claims:
            name = meta.name(wanted)
            where = f"Claim {name} Pod {meta.name(pod)} in StatefulSet {meta.name(set_)}"
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIMS, wanted, meta.namespace(set_))
            except AlreadyExists:
                continue
            except APIError as error:
                where = where.replace(f"{name} Pod", f"{name} for Pod")
                message = f"Create {where} failed error: {error}"
                self._recorder.event(set_, "Warning", "FailedCreate", message)
                raise
            self._recorder.event(set_, "Normal", "SuccessfulCreate", f"Create {where} success")

    def _tell(self, set_: Obj, verb: str, pod: Obj, error: object = None) -> None:
        subject = f"{verb} Pod {meta.name(pod)} in StatefulSet {meta.name(set_)}"
        if error is None:
            message, kind, reason = f"{subject} successful", "Normal", f"Successful{verb}"
        else:
            message, kind, reason = f"{subject} failed error: {error}", "Warning", f"Failed{verb}"
        self._recorder.event(set_, kind, reason, message)


def _build(context: Context, options: StatefulSetOptions) -> Controller[Key]:
    reconciler = StatefulSetReconciler(context)
    watches = (
        Watch(STATEFUL_SETS, to_itself),
        Watch(PODS, reconciler.pod_changed),
        Watch(CONTROLLER_REVISIONS, reconciler.revision_changed),
    )
    return Controller(
        "statefulset-controller",
        watches,
        reconciler,
        workers=options.concurrent_statefulset_syncs,
    )


DESCRIPTOR = Descriptor(
    "statefulset-controller",
    _build,
    (STATEFUL_SETS, PODS, PERSISTENT_VOLUME_CLAIMS, CONTROLLER_REVISIONS),
    StatefulSetOptions,
    aliases=("statefulset",),
)
