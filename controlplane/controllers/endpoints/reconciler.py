"""Endpoints of Services with a selector. Those of Services without one belong to whoever wrote them."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.controllers.endpoints.plan import (
    OVER_CAPACITY,
    labels_of,
    plan_subsets,
    truncated,
)
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
    with_trigger_time,
)
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class EndpointsOptions:
    """What the controller can be told."""

    concurrent_endpoint_syncs: int = option(5, "Services worked on at a time")


class EndpointsReconciler:
    """Keeps the Endpoints of one Service."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._triggers = TriggerTimes()
        self._services = context.informers.of(SERVICES).indexer
        self._pods = context.informers.of(PODS).indexer
        self._endpoints = context.informers.of(ENDPOINTS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The Services that select the Pod now or did before."""
        if not matters_to_services(change.old, change.new):
            return ()
        seen = [meta.labels(pod) for pod in (change.old, change.new) if pod is not None]
        return services_of(seen, self._services.list(meta.namespace(change.object)))

    def endpoints_changed(self, change: Change) -> Iterable[Key]:
        """The Service of the same name, if Endpoints were deleted."""
        return (meta.key_of(change.object),) if change.new is None else ()

    async def reconcile(self, key: Key) -> Result:
        """Bring one Service's Endpoints to what its Pods are."""
        service = self._services.get(key.name, key.namespace)
        current = self._endpoints.get(key.name, key.namespace)
        if service is None:
            self._triggers.forget(key)
            if current is not None:
                with contextlib.suppress(NotFound):
                    await self._client.delete(
                        ENDPOINTS, key.name, key.namespace, uid=meta.uid(current)
                    )
            return Result.done()
        spec = meta.spec(service)
        if spec.get("type") == "ExternalName" or spec.get("selector") is None:
            return Result.done()
        pods = [p for p in self._pods.list(key.namespace) if selects(service, meta.labels(p))]
        subsets, is_cut = truncated(plan_subsets(service, pods))
        labels = labels_of(service)
        if current is not None and (
            (current.get("subsets") or []) == subsets
            and meta.labels(current) == labels
            and (OVER_CAPACITY in meta.annotations(current)) is is_cut
        ):
            self._triggers.next(service, pods)
            return Result.done()
        annotations = dict(meta.annotations(current)) if current is not None else {}
        annotations.pop(OVER_CAPACITY, None)
        if is_cut:
            annotations[OVER_CAPACITY] = "truncated"
        annotations = with_trigger_time(annotations, self._triggers.next(service, pods))
        metadata = {**(current or {}).get("metadata", {}), "name": key.name}
        metadata |= {"labels": labels, "annotations": annotations, "namespace": key.namespace}
        await self._write(service, current, {"metadata": metadata, "subsets": subsets})
        return Result.done()

    async def _write(self, service: Obj, current: Obj | None, wanted: Obj) -> None:
        name, namespace = meta.name(service), meta.namespace(service)
        try:
            if current is None:
                await self._client.create(ENDPOINTS, wanted, namespace)
            else:
                await self._client.update(ENDPOINTS, wanted)
        except APIError as error:
            if is_namespace_ending(error):
                return
            subject = {"apiVersion": "v1", "kind": "Endpoints", **wanted}
            if current is None:
                reason = "FailedToCreateEndpoint"
                message = f"Failed to create endpoint for service {namespace}/{name}: {error}"
            else:
                reason = "FailedToUpdateEndpoint"
                message = f"Failed to update endpoint {namespace}/{name}: {error}"
            self._recorder.event(subject, "Warning", reason, message)
            raise


def _build(context: Context, options: EndpointsOptions) -> Controller[Key]:
    reconciler = EndpointsReconciler(context)
    watches = (
        Watch(SERVICES, to_itself),
        Watch(PODS, reconciler.pod_changed),
        Watch(ENDPOINTS, reconciler.endpoints_changed),
    )
    return Controller(
        "endpoints-controller", watches, reconciler, workers=options.concurrent_endpoint_syncs
    )


DESCRIPTOR = Descriptor(
    "endpoints-controller",
    _build,
    (SERVICES, PODS, ENDPOINTS),
    EndpointsOptions,
    aliases=("endpoint",),
    component="endpoint-controller",
)
