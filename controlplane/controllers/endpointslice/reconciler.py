"""EndpointSlices of Services with a selector: observe Pods and nodes, plan, write, remember what was written."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.controllers.endpointslice.plan import CONTROLLER, plan_slices
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.controllers.workloads.services import (
    TriggerTimes,
    matters_to_services,
    selects,
    services_of,
)
from controlplane.controllers.workloads.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SlicePlan,
    SliceTracker,
)
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.program.options import option

_ZONE = "topology.kubernetes.io/zone"
_STALE_LOOK_SECONDS = 1.0
_UNKNOWN_NODE_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EndpointSliceOptions:
    """What the controller can be told."""

    concurrent_service_endpoint_syncs: int = option(5, "Services worked on at a time")
    max_endpoints_per_slice: int = option(100, "endpoints a slice; at most 1000")

    def problems(self) -> list[str]:
        """What is out of bounds."""
        well = 1 <= self.max_endpoints_per_slice <= 1000
        return [] if well else ["--max-endpoints-per-slice must be from 1 to 1000"]


class EndpointSliceReconciler:
    """Keeps the slices of one Service."""

    def __init__(self, context: Context, limit: int) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._limit = limit
        self._triggers = TriggerTimes()
        self._tracker = SliceTracker()
        self._services = context.informers.of(SERVICES).indexer
        self._pods = context.informers.of(PODS).indexer
        self._nodes = context.informers.of(NODES).indexer
        self._slices = context.informers.of(ENDPOINT_SLICES).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The Services that select the Pod now or did before."""
        if not matters_to_services(change.old, change.new):
            return ()
        services = self._services.list(meta.namespace(change.object))
        seen = [meta.labels(pod) for pod in (change.old, change.new) if pod is not None]
        return services_of(seen, services)

    def node_changed(self, change: Change) -> Iterable[Key]:
        """The Services of its Pods, when it came or moved to another zone."""
        zones = [
            None if node is None else meta.labels(node).get(_ZONE, "")
            for node in (change.old, change.new)
        ]
        if zones[0] == zones[1] or change.new is None:
            return ()
        keys: dict[Key, None] = {}
        for pod in self._pods.by_node(meta.name(change.new)):
            found = services_of([meta.labels(pod)], self._services.list(meta.namespace(pod)))
            keys |= dict.fromkeys(found)
        return keys

    def slice_changed(self, change: Change) -> Iterable[Key]:
        """The Service of a slice that is, or was, ours."""
        return self._tracker.owners_of((change.old, change.new), CONTROLLER)

    async def reconcile(self, key: Key) -> Result:
        """Bring one Service's slices to what its Pods are."""
        service = self._services.get(key.name, key.namespace)
        if service is None:
            # The garbage collector takes the slices with their owner.
            self._triggers.forget(key)
            self._tracker.forget(key)
            return Result.done()
        spec = meta.spec(service)
        if spec.get("type") == "ExternalName" or spec.get("selector") is None:
            return Result.done()
        existing = [
            slice_
            for slice_ in self._slices.list(key.namespace)
            if meta.labels(slice_).get(SERVICE_NAME) == key.name
            and meta.labels(slice_).get(MANAGED_BY) == CONTROLLER
            and not meta.is_deleting(slice_)
        ]
        if self._tracker.is_stale(key, existing):
            return Result.after(_STALE_LOOK_SECONDS)
        pods = [p for p in self._pods.list(key.namespace) if selects(service, meta.labels(p))]
        trigger = self._triggers.next(service, pods)
        plan, unknown = plan_slices(
            service, pods, existing, lambda name: self._nodes.get(name), trigger, self._limit
        )
        try:
            await self._write(key, plan)
        except APIError as error:
            if is_namespace_ending(error) or meta.is_deleting(service):
                return Result.done()
            message = (
                f"Error updating Endpoint Slices for Service {key.namespace}/{key.name}: {error}"
            )
            self._recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", message)
            raise
        return Result.after(_UNKNOWN_NODE_LOOK_SECONDS) if unknown else Result.done()

    async def _write(self, key: Key, plan: SlicePlan) -> None:
        # A new slice in place of one that goes saves a deletion: it is the same to everybody who watches.
        create, delete = list(plan.create), list(plan.delete)
        update = list(plan.update)
        while create and delete and _is_alike(create[0], delete[0]):
            update.append(_in_place_of(create.pop(0), delete.pop(0)))
        for slice_ in create:
            made = await self._client.create(ENDPOINT_SLICES, slice_, key.namespace)
            self._tracker.wrote(key, made)
        for slice_ in update:
            self._tracker.wrote(key, await self._client.update(ENDPOINT_SLICES, slice_))
        for slice_ in delete:
            with contextlib.suppress(NotFound):
                await self._client.delete(
                    ENDPOINT_SLICES, meta.name(slice_), key.namespace, uid=meta.uid(slice_)
                )
            self._tracker.deleted(key, meta.uid(slice_))


def _is_alike(new: Obj, old: Obj) -> bool:
    owners = [[ref["uid"] for ref in meta.owner_references(slice_)] for slice_ in (new, old)]
    return new.get("addressType") == old.get("addressType") and owners[0] == owners[1]


def _in_place_of(new: Obj, old: Obj) -> Obj:
    metadata = {
        **old["metadata"],
        "labels": meta.labels(new),
        "annotations": meta.annotations(new),
    }
    return {**old, **new, "metadata": metadata}


def _build(context: Context, options: EndpointSliceOptions) -> Controller[Key]:
    reconciler = EndpointSliceReconciler(context, options.max_endpoints_per_slice)
    watches = (
        Watch(SERVICES, to_itself),
        Watch(PODS, reconciler.pod_changed),
        Watch(NODES, reconciler.node_changed),
        Watch(ENDPOINT_SLICES, reconciler.slice_changed),
    )
    return Controller(
        "endpointslice-controller",
        watches,
        reconciler,
        workers=options.concurrent_service_endpoint_syncs,
    )


DESCRIPTOR = Descriptor(
    "endpointslice-controller",
    _build,
    (SERVICES, PODS, NODES, ENDPOINT_SLICES),
    EndpointSliceOptions,
    aliases=("endpointslice",),
    component="endpoint-slice-controller",
)
