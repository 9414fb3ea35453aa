"""ReplicationControllers: a number of like Pods, chosen by equality of labels."""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Key, Obj
from controlplane.api.selectors import LabelSelector
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.sources import to_itself
from controlplane.controllers.workloads.replicas import ReplicasReconciler
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.replication_controller import REPLICATION_CONTROLLERS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class ReplicationControllerOptions:
    """What the controller can be told."""

    concurrent_rc_syncs: int = option(5, "ReplicationControllers worked on at a time")


def _selector(controller: Obj) -> LabelSelector:
    return LabelSelector.from_object({"matchLabels": meta.spec(controller).get("selector") or {}})


def _build(context: Context, options: ReplicationControllerOptions) -> Controller[Key]:
    reconciler = ReplicasReconciler(context, REPLICATION_CONTROLLERS, _selector)
    return Controller(
        "replicationcontroller-controller",
        (Watch(REPLICATION_CONTROLLERS, to_itself), Watch(PODS, reconciler.pod_changed)),
        reconciler,
        workers=options.concurrent_rc_syncs,
    )


DESCRIPTOR = Descriptor(
    "replicationcontroller-controller",
    _build,
    (REPLICATION_CONTROLLERS, PODS),
    ReplicationControllerOptions,
    aliases=("replicationcontroller",),
    component="replication-controller",
)
