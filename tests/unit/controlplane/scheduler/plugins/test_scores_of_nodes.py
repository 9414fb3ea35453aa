"""Balanced use and images that are there."""

import pytest

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, pod_info
from controlplane.scheduler.framework.status import Code
from controlplane.scheduler.plugins.balanced_allocation import BalancedAllocation
from controlplane.scheduler.plugins.image_locality import ImageLocality

MIB = 1024 * 1024


def node(name: str, images: dict[str, int] | None = None) -> NodeInfo:
    info = NodeInfo(name)
    rows = [{"names": [key], "sizeBytes": size} for key, size in (images or {}).items()]
    allocatable = {"cpu": "4", "memory": "8Gi"}
    info.set_node(
        {"metadata": {"name": name}, "status": {"allocatable": allocatable, "images": rows}}
    )
    return info


@pytest.mark.parametrize(
    ("cpu", "memory", "wanted"),
    [("2", "4Gi", 100), ("4", "0", 50), ("2", "2Gi", 87), ("0", "0", 100)],
)
def test_equal_shares_are_best(cpu: str, memory: str, wanted: int) -> None:
    requests = {"cpu": cpu, "memory": memory}
    container = {"name": "c", "resources": {"requests": requests}}
    pod = pod_info({"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    assert BalancedAllocation().score(CycleState(), pod, node("n")) == wanted


def test_images_that_are_there_attract_by_size_and_spread() -> None:
    pod = pod_info(
        {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "web"}]}}
    )
    nodes = [node("big", {"web:latest": 800 * MIB}), node("other", {"db:1": 800 * MIB})]
    plugin, state = ImageLocality(), CycleState()
    assert plugin.pre_score(state, pod, nodes).ok
    # Half of the nodes have it: half of its bytes count.
    wanted = 100 * (400 - 23) // (1000 - 23)
    assert [plugin.score(state, pod, one) for one in nodes] == [wanted, 0]


def test_unknown_images_are_no_reason() -> None:
    pod = pod_info(
        {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}
    )
    assert ImageLocality().pre_score(CycleState(), pod, [node("n")]).code is Code.SKIP
