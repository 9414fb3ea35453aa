"""ReplicaSets: a number of like Pods, chosen by a label selector."""

from dataclasses import dataclass

from controlplane.api.meta import Key
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.sources import to_itself
from controlplane.controllers.workloads.replicas import ReplicasReconciler
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class ReplicaSetOptions:
    """What the controller can be told."""

    concurrent_replicaset_syncs: int = option(5, "ReplicaSets worked on at a time")


def _build(context: Context, options: ReplicaSetOptions) -> Controller[Key]:
    reconciler = ReplicasReconciler(context, REPLICA_SETS)
    return Controller(
        "replicaset-controller",
        (Watch(REPLICA_SETS, to_itself), Watch(PODS, reconciler.pod_changed)),
        reconciler,
        workers=options.concurrent_replicaset_syncs,
    )


DESCRIPTOR = Descriptor(
    "replicaset-controller",
    _build,
    (REPLICA_SETS, PODS),
    ReplicaSetOptions,
    aliases=("replicaset",),
)
