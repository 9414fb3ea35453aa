"""NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory would be used to a like degree.

Source: pkg/scheduler/framework/plugins/noderesources/balanced_allocation.go.
"""

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.events import Wake
from controlplane.scheduler.framework.interface import MAX_SCORE, as_they_are
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo


class BalancedAllocation:
    """Score on the spread of the used shares."""

    name = "NodeResourcesBalancedAllocation"
    is_local = True
    events: tuple[Wake, ...] = ()

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """100 for equal shares, less the further they are apart; what is asked for counts, not stand-ins."""
        shares = []
        for resource in ("cpu", "memory"):
            capacity = node.allocatable.get(resource, 0)
            if capacity > 0:
                used = node.requested.get(resource, 0) + pod.requests.get(resource, 0)
                shares.append(min(1.0, used / capacity))
        if len(shares) < 2:
            return MAX_SCORE
        # The standard deviation of two numbers is half their distance.
        return int((1 - abs(shares[0] - shares[1]) / 2) * MAX_SCORE)

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Scores are 0..100 already."""
        return as_they_are(scores)
