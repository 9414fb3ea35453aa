"""Namespaces being deleted: delete what is in them, then take the `kubernetes` finalizer away.

Everything is listed at the server, not in caches, and discovery is read anew each time: what a cache does not show yet
would stay for ever. Pods go before all else, so that what runs never misses what it was given (as upstream since 1.33).
While a kind cannot be listed, the namespace stays. The conditions say what remains.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, MethodNotAllowed, NotFound
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.times import to_rfc3339
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.namespace.plan import Findings, plan_status
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option

_FINALIZER = "kubernetes"
_FIRST_LOOK_SECONDS = 0.5
_LAST_LOOK_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """What the controller can be told."""

    concurrent_namespace_syncs: int = option(10, "namespaces worked on at a time")


def _build(context: Context, options: NamespaceOptions) -> Controller[Key]:
    reconciler = NamespaceReconciler(context)
    watches = (
        Watch(NAMESPACES, reconciler.namespace_changed),
        Watch(PODS, reconciler.pod_changed),
    )
    return Controller(
        "namespace-controller", watches, reconciler, workers=options.concurrent_namespace_syncs
    )


class NamespaceReconciler:
    """Empties one namespace after another."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces = context.informers.of(NAMESPACES).indexer
        self._kinds = context.kinds
        self._clock = context.clock
        self._looks: dict[Key, float] = {}  # how long to wait before the next look

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
            self._looks.pop(key, None)
            return Result.done()
        finalizers = meta.spec(namespace).get("finalizers") or []
        if not meta.is_deleting(namespace) or _FINALIZER not in finalizers:
            return Result.done()
        findings = await self._empty(key.name)
        status = plan_status(namespace, findings, to_rfc3339(self._clock.time()))
        if status != meta.status(namespace):
            namespace = await self._client.update_status(
                NAMESPACES, {**namespace, "status": status}
            )
        if not findings.is_empty:
            wait = self._looks.get(key, _FIRST_LOOK_SECONDS)
            self._looks[key] = min(2 * wait, _LAST_LOOK_SECONDS)
            return Result.after(wait)
        self._looks.pop(key, None)
        rest = [name for name in finalizers if name != _FINALIZER]
        spec = {**meta.spec(namespace), "finalizers": rest}
        with contextlib.suppress(NotFound):
            await self._client.update_subresource(
                NAMESPACES,
                key.name,
                "finalize",
                {**namespace, "apiVersion": "v1", "kind": "Namespace", "spec": spec},
            )
        return Result.done()

    async def _empty(self, namespace: str) -> Findings:
        """Ask for the deletion of everything; what is still there then."""
        findings = Findings()
        try:
            await self._kinds.refresh()
        except APIError as error:
            findings.discovery.append(str(error))
        if self._kinds.failed_groups:
            failed = ", ".join(self._kinds.failed_groups)
            count = len(self._kinds.failed_groups)
            findings.discovery.append(
                f"Discovery failed for some groups, {count} failing: unable to retrieve the "
                f"complete list of server APIs: {failed}"
            )
        contents = [r for r in self._kinds.preferred("list", "delete") if r.namespaced]
        pods = [r for r in contents if r.group_resource == PODS.group_resource]
        for resource in pods:
            await self._empty_of(resource, namespace, findings)
        if findings.remaining:
            return findings
        for resource in contents:
            if resource not in pods:
                await self._empty_of(resource, namespace, findings)
        return findings

    async def _empty_of(self, resource: Resource, namespace: str, findings: Findings) -> None:
        try:
            found = (await self._client.list_all(resource, namespace)).items
            if not found:
                return
            if "deletecollection" in resource.verbs:
                await self._client.delete_collection(
                    resource, namespace, propagation_policy="Background"
                )
            else:
                await self._delete_each(resource, namespace, found)
            findings.count(resource, (await self._client.list_all(resource, namespace)).items)
        except (NotFound, MethodNotAllowed):
            return  # served no more
        except APIError as error:
            findings.errors.append(str(error))

    async def _delete_each(self, resource: Resource, namespace: str, found: Sequence[Obj]) -> None:
        for obj in found:
            with contextlib.suppress(NotFound):
                await self._client.delete(
                    resource,
                    meta.name(obj),
                    namespace,
                    uid=meta.uid(obj),
                    propagation_policy="Background",
                )


DESCRIPTOR = Descriptor(
    "namespace-controller",
    _build,
    (
        NAMESPACES,
        PODS,
    ),
    NamespaceOptions,
    aliases=("namespace",),
)
