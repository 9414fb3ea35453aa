"""SchedulingGates: a pod with gates is not tried until the last one was taken away."""

from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.node_info import PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable


class SchedulingGates:
    """Keeps gated pods out of the queue."""

    name = "SchedulingGates"
    # Only a change of the pod itself helps, which always makes it be asked again.
    events: tuple[cluster.Wake, ...] = ()

    def pre_enqueue(self, pod: PodInfo) -> Status:
        """Refuse while there are gates; upstream's words."""
        gates = [str(gate.get("name")) for gate in pod.spec.get("schedulingGates") or ()]
        if not gates:
            return SUCCESS
        return unresolvable(f"waiting for scheduling gates: [{' '.join(gates)}]")
