"""Whom to evict for a pod of higher priority (row 28)."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, pod_info
from controlplane.scheduler.plugins.node_resources_fit import insufficient
from controlplane.scheduler.preemption import candidates


def pod(
    name: str, priority: int, cpu: str = "1", start: str = "2030-01-01T00:00:00Z", **labels: str
) -> PodInfo:
    return pod_info(
        {
            "metadata": {"name": name, "uid": name, "namespace": "default", "labels": labels},
            "spec": {
                "priority": priority,
                "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}],
            },
            "status": {"startTime": start},
        }
    )


def node(name: str, *pods: PodInfo, cpu: str = "2") -> NodeInfo:
    info = NodeInfo(name)
    info.set_node(
        {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "pods": "110"}}}
    )
    for one in pods:
        info.add_pod(one)
    return info


def budget(allowed: int, **labels: str) -> Obj:
    return {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


def find(one: PodInfo, nodes: list[NodeInfo], *budgets: Obj) -> dict[str, tuple[list[str], int]]:
    found = candidates.find(one, nodes, lambda item: not insufficient(one, item), budgets, 100)
    return {c.node_name: ([v.name for v in c.victims], c.violations) for c in found}


def chosen(one: PodInfo, nodes: list[NodeInfo], *budgets: Obj) -> str:
    found = candidates.find(one, nodes, lambda item: not insufficient(one, item), budgets, 100)
    best = candidates.best(found)
    return best.node_name if best else ""


HIGH = pod("high", 100)


def test_only_as_many_go_as_are_needed() -> None:
    assert find(HIGH, [node("n", pod("a", 1), pod("b", 2))]) == {"n": (["a"], 0)}
    big = pod("high", 100, "2")
    assert find(big, [node("n", pod("a", 1), pod("b", 2))]) == {"n": (["b", "a"], 0)}


@pytest.mark.parametrize("others", [(pod("a", 100), pod("b", 200)), ()])
def test_nobody_of_the_same_or_higher_priority_goes(others: Any) -> None:
    full = node("n", *others, cpu="2" if others else "0")
    assert find(HIGH, [full]) == {}


def test_of_equals_the_one_that_began_last_goes() -> None:
    old, new = pod("old", 1), pod("new", 1, start="2030-01-02T00:00:00Z")
    assert find(HIGH, [node("n", old, new)]) == {"n": (["new"], 0)}


def test_a_budget_is_spared_where_it_can_be() -> None:
    kept, other = pod("kept", 1, app="a"), pod("other", 2)
    assert find(HIGH, [node("n", kept, other)], budget(0, app="a")) == {"n": (["other"], 0)}
    assert find(HIGH, [node("n", kept, other)], budget(1, app="a")) == {"n": (["kept"], 0)}
    big = pod("high", 100, "2")
    assert find(big, [node("n", kept, other)], budget(0, app="a")) == {"n": (["other", "kept"], 1)}


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        pytest.param(
            [pod("a", 1, "2", app="a")], [pod("b", 9, "2")], "n2", id="fewest_violated_budgets"
        ),
        pytest.param(
            [pod("a", 5, "2")], [pod("b", 1), pod("c", 1)], "n2", id="least_important_victim"
        ),
        pytest.param([pod("a", 5), pod("b", 5)], [pod("c", 5), pod("d", 1)], "n2", id="least_sum"),
        pytest.param(
            [pod("a", 5, "2", start="2030-01-01T00:00:00Z")],
            [pod("b", 5, "2", start="2030-02-01T00:00:00Z")],
            "n2",
            id="shortest_running",
        ),
        pytest.param([pod("a", 5, "2")], [pod("b", 5, "2")], "n1", id="the_first_of_equals"),
    ],
)
def test_the_cheapest_node_is_chosen(
    first: list[PodInfo], second: list[PodInfo], wanted: str
) -> None:
    big = pod("high", 100, "2")
    assert chosen(big, [node("n1", *first), node("n2", *second)], budget(0, app="a")) == wanted


@pytest.mark.parametrize(("count", "wanted"), [(10, 10), (500, 100), (5000, 500)])
def test_a_tenth_of_the_nodes_is_looked_at(count: int, wanted: int) -> None:
    assert candidates.most_to_look_at(count) == wanted
