"""Namespaces being deleted: delete what is in them, then take the `kubernetes` finalizer away.

Everything is listed at the server, not in caches: what a cache does not show yet would stay for ever.
"""

import contextlib
from collections.abc import Iterable
from typing import Any

from controlplane.api import meta
from controlplane.api.errors import MethodNotAllowed, NotFound
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.manager import Context
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS

Object = dict[str, Any]


_LOOK_SECONDS = 2.0


def build(context: Context) -> Controller[Key]:
    """The declaration of this controller."""
    reconciler = NamespaceReconciler(context)
    watches = (
        Watch(NAMESPACES, reconciler.namespace_changed),
        Watch(PODS, reconciler.pod_changed),
    )
    return Controller("namespace", watches, reconciler, workers=2)


class NamespaceReconciler:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces = context.informers.of(NAMESPACES).indexer
        self._contents = [
            resource
            for resource in SCHEME.all()
            if resource.namespaced
            and SCHEME.is_own_store(resource)
            and {"list", "delete"} <= set(resource.verbs)
        ]

    def namespace_changed(self, change: Change) -> Iterable[Key]:
        """Only namespaces being deleted need work."""
        if change.new is None or not meta.is_deleting(change.new):
            return ()
        return (Key("", meta.name(change.new)),)

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The last Pod that goes may be all its namespace waits for."""
        if change.new is not None:
            return ()
        namespace = self._namespaces.get(meta.namespace(change.object))
        if namespace is None or not meta.is_deleting(namespace):
            return ()
        return (Key("", meta.name(namespace)),)

    async def reconcile(self, key: Key) -> Result:
        """Empty one namespace, as far as it goes now."""
        try:
            namespace = await self._client.get(NAMESPACES, key.name)
        except NotFound:
            return Result.done()
        finalizers = meta.spec(namespace).get("finalizers") or []
        if not meta.is_deleting(namespace) or "kubernetes" not in finalizers:
            return Result.done()
        if await self._delete_contents(key.name):
            return Result.after(_LOOK_SECONDS)
        rest = [name for name in finalizers if name != "kubernetes"]
        spec = {**meta.spec(namespace), "finalizers": rest}
        with contextlib.suppress(NotFound):
            await self._client.update_subresource(
                NAMESPACES,
                key.name,
                "finalize",
                {**namespace, "apiVersion": "v1", "kind": "Namespace", "spec": spec},
            )
        return Result.done()

    async def _delete_contents(self, namespace: str) -> int:
        """Ask for the deletion of everything; returns how many objects will still be there."""
        remaining = 0
        for resource in self._contents:
            try:
                found = (await self._client.list_all(resource, namespace)).items
            except (NotFound, MethodNotAllowed):
                continue  # not served here
            for obj in found:
                if meta.is_deleting(obj):
                    remaining += 1
                    continue
                try:
                    left = await self._client.delete(
                        resource,
                        meta.name(obj),
                        namespace,
                        uid=meta.uid(obj),
                        propagation_policy="Background",
                    )
                except NotFound:
                    continue
                # The answer is the object if it stays for a while (grace, finalizers).
                lasting = left.get("metadata") or {}
                if lasting.get("finalizers") or lasting.get("deletionGracePeriodSeconds"):
                    remaining += 1
        return remaining
