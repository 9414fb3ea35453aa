"""Garbage collection by owner references: background, foreground and orphan deletion.

Keys are uids. That an owner is gone is never believed of a cache alone: the server is asked by name, and the uid
compared. An owner that certainly went (its deletion was seen) is remembered for a while to save those questions.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import NotFound
from controlplane.api.resource import Resource
from controlplane.client.rest import RestClient
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.manager import Context
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.garbage.graph import (
    FOREGROUND,
    ORPHAN,
    Decision,
    OwnerState,
    Verb,
    concerns,
    decide,
    is_waiting,
)
from controlplane.kinds.catalog import SCHEME

Object = dict[str, Any]

_REMEMBERED_GONE = 2000


def collected() -> list[Resource]:
    """The resources whose owner references count: all that can be watched and deleted, but for events."""
    return [
        resource
        for resource in SCHEME.all()
        if resource.kind != "Event"
        and resource.stored_as is None
        and {"list", "watch", "delete"} <= set(resource.verbs)
    ]


def build(context: Context) -> Controller[str]:
    """The declaration of this controller."""
    reconciler = GarbageReconciler(context)
    watches = [Watch(resource, reconciler.changed) for resource in collected()]
    return Controller("garbage", watches, reconciler, workers=8)


class GarbageReconciler:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._client: RestClient = context.client
        self._indexers = [
            (resource, context.informers.of(resource).indexer) for resource in collected()
        ]
        self._gone: OrderedDict[str, None] = OrderedDict()

    def changed(self, change: Change) -> Iterable[str]:
        """The object itself if references matter to it; its dependents and owners if it went."""
        if change.new is None:
            self._remember_gone(meta.uid(change.object))
            dependents = [meta.uid(obj) for _, obj in self._dependents(meta.uid(change.object))]
            # Owners that wait in foreground for this one.
            return [*dependents, *(ref["uid"] for ref in meta.owner_references(change.object))]
        if change.old is not None and not _references_changed(change.old, change.new):
            return ()
        keys = [meta.uid(change.new)] if concerns(change.new) else []
        if change.old is not None:
            keys += [ref["uid"] for ref in meta.owner_references(change.old)]
        return keys

    async def reconcile(self, key: str) -> Result:
        """Do what one object's references demand."""
        found = self._find(key)
        if found is None:
            return Result.done()
        resource, obj = found
        if not concerns(obj):
            return Result.done()
        owners: dict[str, OwnerState] = {}
        if not meta.is_deleting(obj):
            for reference in meta.owner_references(obj):
                owners[reference["uid"]] = await self._owner_state(reference, meta.namespace(obj))
        dependents = self._dependents(key)
        decision = decide(obj, owners, [dependent for _, dependent in dependents])
        try:
            await self._act(resource, obj, decision, dependents)
        except NotFound:
            return Result.done()
        return Result.done()

    async def _act(
        self,
        resource: Resource,
        obj: Object,
        decision: Decision,
        dependents: list[tuple[Resource, Object]],
    ) -> None:
        match decision.verb:
            case Verb.DELETE:
                await self._delete(resource, obj, decision.policy)
            case Verb.DROP_OWNERS:
                await self._drop_owners(resource, obj, decision.uids)
            case Verb.ORPHAN_DEPENDENTS:
                for kind, dependent in dependents:
                    await self._drop_owners(kind, dependent, (meta.uid(obj),))
                await self._drop_finalizer(resource, obj, ORPHAN)
            case Verb.DELETE_DEPENDENTS:
                for kind, dependent in dependents:
                    await self._delete_dependent(kind, dependent, obj)
            case Verb.FINISH_FOREGROUND:
                await self._drop_finalizer(resource, obj, FOREGROUND)

    async def _delete_dependent(self, resource: Resource, obj: Object, owner: Object) -> None:
        if meta.is_deleting(obj):
            return
        owners = {meta.uid(owner): OwnerState.WAITING}
        for reference in meta.owner_references(obj):
            if reference["uid"] not in owners:
                owners[reference["uid"]] = await self._owner_state(reference, meta.namespace(obj))
        below = self._dependents(meta.uid(obj))
        decision = decide(obj, owners, [dependent for _, dependent in below])
        try:
            await self._act(resource, obj, decision, below)
        except NotFound:
            return

    async def _delete(self, resource: Resource, obj: Object, policy: str) -> None:
        # The resourceVersion guards against an adoption nobody here has seen yet.
        await self._client.delete(
            resource,
            meta.name(obj),
            meta.namespace(obj),
            uid=meta.uid(obj),
            resource_version=meta.resource_version(obj),
            propagation_policy=policy,
        )

    async def _drop_owners(self, resource: Resource, obj: Object, uids: tuple[str, ...]) -> None:
        kept = [ref for ref in meta.owner_references(obj) if ref["uid"] not in uids]
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

    async def _drop_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        kept = [name for name in meta.finalizers(obj) if name != finalizer]
        patch = {
            "metadata": {
                "uid": meta.uid(obj),
                "resourceVersion": meta.resource_version(obj),
                "finalizers": kept or None,
            }
        }
        await self._client.patch(resource, meta.name(obj), patch, meta.namespace(obj))

    async def _owner_state(self, reference: Object, namespace: str) -> OwnerState:
        uid = reference["uid"]
        found = self._find(uid)
        if found is not None:
            return OwnerState.WAITING if is_waiting(found[1]) else OwnerState.SOLID
        if uid in self._gone:
            return OwnerState.GONE
        resource = SCHEME.by_kind(reference.get("apiVersion", ""), reference.get("kind", ""))
        if resource is None:
            return OwnerState.SOLID  # a kind not served here: nothing can be known of it
        place = namespace if resource.namespaced else ""
        try:
            owner = await self._client.get(resource, reference["name"], place)
        except NotFound:
            self._remember_gone(uid)
            return OwnerState.GONE
        if meta.uid(owner) != uid:
            self._remember_gone(uid)
            return OwnerState.GONE
        return OwnerState.WAITING if is_waiting(owner) else OwnerState.SOLID

    def _find(self, uid: str) -> tuple[Resource, Object] | None:
        for resource, indexer in self._indexers:
            obj = indexer.by_uid(uid)
            if obj is not None:
                return resource, obj
        return None

    def _dependents(self, uid: str) -> list[tuple[Resource, Object]]:
        return [
            (resource, obj) for resource, indexer in self._indexers for obj in indexer.by_owner(uid)
        ]

    def _remember_gone(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _REMEMBERED_GONE:
            self._gone.popitem(last=False)


def _references_changed(old: Object, new: Object) -> bool:
    return (
        meta.owner_references(old) != meta.owner_references(new)
        or meta.finalizers(old) != meta.finalizers(new)
        or meta.is_deleting(old) != meta.is_deleting(new)
    )
