"""ImageLocality: prefers nodes that have the pod's images already, the more of their bytes the better.

An image counts less the fewer nodes have it, so that pods do not all go where one image happens to be.
Source: pkg/scheduler/framework/plugins/imagelocality.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.scheduler.framework.cycle_state import CycleState, StateKey
from controlplane.scheduler.framework.events import Wake
from controlplane.scheduler.framework.interface import MAX_SCORE, as_they_are
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SKIP, SUCCESS, Status

_MIB = 1024 * 1024
_LEAST, _MOST = 23 * _MIB, 1000 * _MIB
_SPREAD: StateKey[dict[str, float]] = StateKey("ImageLocality/spread")


class ImageLocality:
    """Score on images that are there."""

    name = "ImageLocality"
    is_local = True
    events: tuple[Wake, ...] = ()

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """How large a part of all nodes has each of the pod's images."""
        wanted = _images(pod)
        counts = dict.fromkeys(wanted, 0)
        whole = state.nodes or nodes
        for node in whole:
            for name in wanted & _sizes(node).keys():
                counts[name] += 1
        if not any(counts.values()):
            return SKIP
        state.put(_SPREAD, {name: count / len(whole) for name, count in counts.items()})
        return SUCCESS

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """The bytes there, between 23 MiB (0) and 1000 MiB a container (100)."""
        spread, sizes = state.get(_SPREAD), _sizes(node)
        there = sum(int(sizes[name] * part) for name, part in spread.items() if name in sizes)
        most = _MOST * max(1, len(_containers(pod)))
        return MAX_SCORE * (min(max(there, _LEAST), most) - _LEAST) // (most - _LEAST)

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Scores are 0..100 already."""
        return as_they_are(scores)


def _containers(pod: PodInfo) -> list[Mapping[str, Any]]:
    return [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]


def _images(pod: PodInfo) -> set[str]:
    return {_normal(str(container.get("image") or "")) for container in _containers(pod)}


def _normal(name: str) -> str:
    """A name without tag means the newest."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def _sizes(node: NodeInfo) -> dict[str, int]:
    found = {}
    for image in ((node.node or {}).get("status") or {}).get("images") or ():
        for name in image.get("names") or ():
            found[_normal(str(name))] = int(image.get("sizeBytes") or 0)
    return found
