"""Garbage collection by owner references: background, foreground and orphan deletion.

Keys are uids. That an owner is gone is never believed of a cache alone: the server is asked, by the kind, the namespace
and the name the reference says, and the uid compared. An owner that certainly went (its deletion was seen) is
remembered for a while by all of these to save those questions. Nothing is done to an object while one of its owners is
of a kind the server does not know: that kind may come with the next custom resource (kubernetes#102641).
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.api import meta
from controlplane.api.errors import NotFound
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.client.rest import RestClient
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.garbage.graph import (
    FOREGROUND,
    ORPHAN,
    Coordinates,
    Decision,
    OwnerState,
    Verb,
    concerns,
    coordinates_of,
    decide,
    is_waiting,
    owner_coordinates,
    refers_to,
)
from controlplane.program.options import option
from kvstore.base.log import get_logger

_REMEMBERED_GONE = 2000
# How long an object with an owner of an unknown kind is left alone before its owners are looked up again.
_UNKNOWN_LOOK_SECONDS = 30.0
_UNSEEN_LOOK_SECONDS = 1.0

_log = get_logger("garbage")


@dataclass(frozen=True, slots=True)
class GarbageCollectorOptions:
    """What the controller can be told."""

    concurrent_gc_syncs: int = option(20, "objects worked on at a time")


def _build(context: Context, options: GarbageCollectorOptions) -> Controller[str]:
    reconciler = GarbageReconciler(context)
    return Controller(
        "garbage-collector-controller",
        (),
        reconciler,
        workers=options.concurrent_gc_syncs,
        any_kind=lambda resource: partial(reconciler.changed, resource),
    )


class GarbageReconciler:
    """Does what owner references demand of one object at a time."""

    def __init__(self, context: Context) -> None:
        self._client: RestClient = context.client
        self._kinds = context.kinds
        self._followed = context.followed
        self._recorder = context.recorder
        self._gone: OrderedDict[Coordinates, None] = OrderedDict()

    def changed(self, resource: Resource, change: Change) -> Iterable[str]:
        """The object itself if references matter to it; its dependents and owners if it went."""
        obj = change.object
        if change.new is None:
            self._remember_gone(coordinates_of(obj, resource))
            dependents = [meta.uid(dependent) for _, dependent in self._dependents(meta.uid(obj))]
            # Owners that wait in foreground for this one.
            return [*dependents, *(ref["uid"] for ref in meta.owner_references(obj))]
        if change.old is None:
            # Dependents that came first and mean it somewhere else have a wrong reference.
            here = coordinates_of(obj, resource)
            misled = [d for _, d in self._dependents(here.uid) if not refers_to(d, here)]
            return [meta.uid(d) for d in ([obj, *misled] if concerns(obj) else misled)]
        if not _references_changed(change.old, change.new):
            return ()
        keys = [meta.uid(change.new)] if concerns(change.new) else []
        return [*keys, *(ref["uid"] for ref in meta.owner_references(change.old))]

    async def reconcile(self, key: str) -> Result:
        """Do what one object's references demand."""
        found = self._find(key)
        if found is None:
            return Result.done()
        resource, obj = found
        if not concerns(obj):
            return Result.done()
        references = [] if meta.is_deleting(obj) else meta.owner_references(obj)
        owners = [await self._owner_state(reference, obj) for reference in references]
        dependents = self._dependents(key)
        decision = decide(obj, owners, [dependent for _, dependent in dependents])
        if decision.verb is Verb.ORPHAN_DEPENDENTS and not await self._sees_everything():
            return Result.after(_UNSEEN_LOOK_SECONDS)
        try:
            await self._act(resource, obj, decision, dependents)
        except NotFound:
            return Result.done()
        is_unknown = OwnerState.UNKNOWN in owners
        return Result.after(_UNKNOWN_LOOK_SECONDS) if is_unknown else Result.done()

    async def _sees_everything(self) -> bool:
        """Whether every kind there is now is in the caches: a dependent nobody saw would be deleted, not orphaned."""
        await self._kinds.refresh()
        unsynced = self._followed.unsynced()
        if unsynced or self._kinds.failed_groups:
            _log.info("orphaning waits", unsynced=unsynced, failed=self._kinds.failed_groups)
            return False
        return True

    async def _act(
        self,
        resource: Resource,
        obj: Obj,
        decision: Decision,
        dependents: list[tuple[Resource, Obj]],
    ) -> None:
        match decision.verb:
            case Verb.DELETE:
                if decision.unblocks:
                    obj = await self._unblock(resource, obj)
                await self._delete(resource, obj, decision.policy)
            case Verb.DROP_OWNERS:
                await self._drop_owners(resource, obj, decision.references)
            case Verb.ORPHAN_DEPENDENTS:
                for kind, dependent in dependents:
                    ours = [
                        ref
                        for ref in meta.owner_references(dependent)
                        if ref["uid"] == meta.uid(obj)
                    ]
                    await self._drop_owners(kind, dependent, ours)
                await self._drop_finalizer(resource, obj, ORPHAN)
            case Verb.DELETE_DEPENDENTS:
                for _, dependent in dependents:
                    await self.reconcile(meta.uid(dependent))
            case Verb.FINISH_FOREGROUND:
                await self._drop_finalizer(resource, obj, FOREGROUND)

    async def _delete(self, resource: Resource, obj: Obj, policy: str) -> None:
        # The resourceVersion guards against an adoption nobody here has seen yet.
        await self._client.delete(
            resource,
            meta.name(obj),
            meta.namespace(obj),
            uid=meta.uid(obj),
            resource_version=meta.resource_version(obj),
            propagation_policy=policy,
        )

    async def _unblock(self, resource: Resource, obj: Obj) -> Obj:
        """Let no owner wait for `obj`; the object as it then is."""
        references = meta.owner_references(obj)
        if not any(ref.get("blockOwnerDeletion") for ref in references):
            return obj
        patch = {
            "metadata": {
                "uid": meta.uid(obj),
                "resourceVersion": meta.resource_version(obj),
                "ownerReferences": [{**ref, "blockOwnerDeletion": False} for ref in references],
            }
        }
        return await self._client.patch(resource, meta.name(obj), patch, meta.namespace(obj))

    async def _drop_owners(self, resource: Resource, obj: Obj, dropped: Sequence[Obj]) -> None:
        kept = [ref for ref in meta.owner_references(obj) if ref not in dropped]
        patch = {
            "metadata": {
                "uid": meta.uid(obj),
                "resourceVersion": meta.resource_version(obj),
                "ownerReferences": kept or None,
            }
        }
        try:
            await self._client.patch(resource, meta.name(obj), patch, meta.namespace(obj))
        except NotFound:
            return

    async def _drop_finalizer(self, resource: Resource, obj: Obj, finalizer: str) -> None:
        kept = [name for name in meta.finalizers(obj) if name != finalizer]
        patch = {
            "metadata": {
                "uid": meta.uid(obj),
                "resourceVersion": meta.resource_version(obj),
                "finalizers": kept or None,
            }
        }
        await self._client.patch(resource, meta.name(obj), patch, meta.namespace(obj))

    async def _owner_state(self, reference: Obj, obj: Obj) -> OwnerState:
        resource = await self._kinds.find(
            reference.get("apiVersion", ""), reference.get("kind", "")
        )
        namespace = meta.namespace(obj)
        wanted = None if resource is None else owner_coordinates(reference, resource, namespace)
        found = self._find(reference["uid"])
        if found is not None:
            real = coordinates_of(found[1], found[0])
            if real == wanted:
                return OwnerState.WAITING if is_waiting(found[1]) else OwnerState.SOLID
            if real.namespace and real.namespace != namespace:
                self._report_wrong_namespace(reference, obj)
        if resource is None or wanted is None:
            return OwnerState.UNKNOWN
        if wanted in self._gone:
            return OwnerState.GONE
        try:
            owner = await self._client.get(resource, wanted.name, wanted.namespace)
        except NotFound:
            self._remember_gone(wanted)
            return OwnerState.GONE
        if meta.uid(owner) != wanted.uid:
            self._remember_gone(wanted)
            return OwnerState.GONE
        return OwnerState.WAITING if is_waiting(owner) else OwnerState.SOLID

    def _report_wrong_namespace(self, reference: Obj, obj: Obj) -> None:
        namespace = meta.namespace(obj)
        owner = (
            f"[{reference.get('apiVersion')}/{reference.get('kind')}, namespace: {namespace}, "
            f"name: {reference.get('name')}, uid: {reference['uid']}]"
        )
        message = f'ownerRef {owner} does not exist in namespace "{namespace}"'
        self._recorder.event(obj, "Warning", "OwnerRefInvalidNamespace", message)

    def _find(self, uid: str) -> tuple[Resource, Obj] | None:
        for resource, informer in self._followed.rows():
            obj = informer.indexer.by_uid(uid)
            if obj is not None:
                return resource, obj
        return None

    def _dependents(self, uid: str) -> list[tuple[Resource, Obj]]:
        return [
            (resource, obj)
            for resource, informer in self._followed.rows()
            for obj in informer.indexer.by_owner(uid)
        ]

    def _remember_gone(self, owner: Coordinates) -> None:
        self._gone[owner] = None
        if len(self._gone) > _REMEMBERED_GONE:
            self._gone.popitem(last=False)


def _references_changed(old: Obj, new: Obj) -> bool:
    return (
        meta.owner_references(old) != meta.owner_references(new)
        or meta.finalizers(old) != meta.finalizers(new)
        or meta.is_deleting(old) != meta.is_deleting(new)
    )


DESCRIPTOR = Descriptor(
    "garbage-collector-controller",
    _build,
    (),
    GarbageCollectorOptions,
    aliases=("garbagecollector",),
    watches_any_kind=True,
)
