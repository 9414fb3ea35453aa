"""Mirrors Endpoints that belong to Services without selector into EndpointSlices."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.controllers.endpointslicemirroring.plan import (
    CONTROLLER,
    is_mirrored,
    plan_mirror,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.controllers.workloads.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SlicePlan,
    SliceTracker,
)
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.program.options import option

_STALE_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MirroringOptions:
    """What the controller can be told."""

    mirroring_concurrent_service_endpoint_syncs: int = option(5, "Endpoints worked on at a time")
    mirroring_max_endpoints_per_subset: int = option(
        1000, "addresses of a subset that are mirrored"
    )


class MirroringReconciler:
    """Keeps the mirror of one Endpoints object."""

    def __init__(self, context: Context, per_subset: int) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._per_subset = per_subset
        self._tracker = SliceTracker()
        self._services = context.informers.of(SERVICES).indexer
        self._endpoints = context.informers.of(ENDPOINTS).indexer
        self._slices = context.informers.of(ENDPOINT_SLICES).indexer

    def slice_changed(self, change: Change) -> Iterable[Key]:
        """The Endpoints of a slice that is, or was, a mirror."""
        return self._tracker.owners_of((change.old, change.new), CONTROLLER)

    async def reconcile(self, key: Key) -> Result:
        """Bring one mirror to what it mirrors, or take it away."""
        existing = self._existing(key)
        endpoints = self._endpoints.get(key.name, key.namespace)
        service = self._services.get(key.name, key.namespace)
        if not is_mirrored(endpoints, service) or endpoints is None:
            await self._write(key, SlicePlan(delete=tuple(existing)))
            self._tracker.forget(key)
            return Result.done()
        if self._tracker.is_stale(key, existing):
            return Result.after(_STALE_LOOK_SECONDS)
        plan, skipped = plan_mirror(endpoints, existing, self._per_subset, self._per_subset)
        if skipped:
            message = (
                f"A max of {self._per_subset} addresses can be mirrored to EndpointSlices per "
                f"Endpoints subset. {skipped} addresses were skipped"
            )
            self._recorder.event(endpoints, "Warning", "TooManyAddressesToMirror", message)
        try:
            await self._write(key, plan)
        except APIError as error:
            if is_namespace_ending(error):
                return Result.done()
            message = f"Error mirroring to EndpointSlices for Endpoints {key.namespace}/{key.name}: {error}"
            self._recorder.event(endpoints, "Warning", "FailedToUpdateEndpointSlices", message)
            raise
        return Result.done()

    def _existing(self, key: Key) -> Sequence[Obj]:
        return [
            slice_
            for slice_ in self._slices.list(key.namespace)
            if meta.labels(slice_).get(SERVICE_NAME) == key.name
            and meta.labels(slice_).get(MANAGED_BY) == CONTROLLER
        ]

    async def _write(self, key: Key, plan: SlicePlan) -> None:
        for slice_ in plan.create:
            made = await self._client.create(ENDPOINT_SLICES, slice_, key.namespace)
            self._tracker.wrote(key, made)
        for slice_ in plan.update:
            self._tracker.wrote(key, await self._client.update(ENDPOINT_SLICES, slice_))
        for slice_ in plan.delete:
            with contextlib.suppress(NotFound):
                await self._client.delete(
                    ENDPOINT_SLICES, meta.name(slice_), key.namespace, uid=meta.uid(slice_)
                )
            self._tracker.deleted(key, meta.uid(slice_))


def _build(context: Context, options: MirroringOptions) -> Controller[Key]:
    reconciler = MirroringReconciler(context, options.mirroring_max_endpoints_per_subset)
    watches = (
        Watch(ENDPOINTS, to_itself),
        Watch(SERVICES, to_itself),
        Watch(ENDPOINT_SLICES, reconciler.slice_changed),
    )
    return Controller(
        "endpointslice-mirroring-controller",
        watches,
        reconciler,
        workers=options.mirroring_concurrent_service_endpoint_syncs,
    )


DESCRIPTOR = Descriptor(
    "endpointslice-mirroring-controller",
    _build,
    (ENDPOINTS, SERVICES, ENDPOINT_SLICES),
    MirroringOptions,
    aliases=("endpointslicemirroring",),
    component="endpoint-slice-mirroring-controller",
)
