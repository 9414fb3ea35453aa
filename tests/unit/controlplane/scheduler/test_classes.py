"""Pods that are alike are decided as by full cycles: compared on random clusters that change under the eyes of both."""

import random
from typing import Any

import pytest

from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.classes import Classes, class_of
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import PodInfo, pod_info
from controlplane.scheduler.framework.runtime import Framework
from controlplane.scheduler.profiles import Profile
from controlplane.scheduler.schedule_one import most_to_score


def pod(name: str, rng: random.Random, kind: int) -> PodInfo:
    """A pod of one of a few sorts."""
    sorts: list[dict[str, Any]] = [
        {},
        {"nodeSelector": {"zone": "z1"}},
        {"tolerations": [{"key": "soft", "operator": "Exists"}]},
        {
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 10 * number,
                            "preference": {
                                "matchExpressions": [
                                    {"key": "zone", "operator": "In", "values": [f"z{number}"]}
                                ]
                            },
                        }
                        for number in (1, 2)
                    ]
                }
            }
        },
        {"priority": 7},
        {},
        {"nodeSelector": {"zone": "z1"}},
    ]
    owners = [{"uid": f"rs-{kind}", "controller": True}] if kind > 4 else []
    requests = {"cpu": f"{100 + 150 * (kind % 3)}m", "memory": f"{64 * (1 + kind % 4)}Mi"}
    container: dict[str, Any] = {"name": "c", "image": f"i{kind % 2}:1"}
    container["resources"] = {"requests": requests}
    if kind == 4:
        container["ports"] = [{"hostPort": 80, "containerPort": 80}]
    return pod_info(
        {
            "metadata": {
                "name": name,
                "namespace": "d",
                "uid": name,
                "labels": {"app": "x"},
                "ownerReferences": owners,
            },
            "spec": {"containers": [container], **sorts[kind]},
        }
    )


def _labels(name: str, rng: random.Random) -> dict[str, str]:
    """A zone for scores of the plugins, and sometimes the domains of default spreading."""
    zone = f"z{rng.randint(0, 2)}"
    labels = {"zone": zone}
    if rng.random() < 0.9:
        labels["kubernetes.io/hostname"] = name
    if rng.random() < 0.7:
        labels["topology.kubernetes.io/zone"] = zone
    return labels


def node(name: str, rng: random.Random) -> dict[str, Any]:
    """A node of random size, zone, taints and images."""
    taints = [
        {"key": key, "effect": effect}
        for key, effect in (("soft", "PreferNoSchedule"), ("hard", "NoSchedule"))
        if rng.random() < 0.2
    ]
    images = [{"names": ["i0:1"], "sizeBytes": 500 << 20}] if rng.random() < 0.3 else []
    amounts = {"cpu": str(rng.randint(1, 8)), "memory": f"{rng.randint(1, 4)}Gi", "pods": "9"}
    return {
        "metadata": {"name": name, "labels": _labels(name, rng)},
        "spec": {"taints": taints},
        "status": {"allocatable": amounts, "images": images},
    }


def best_of(framework: Framework, one: PodInfo, nodes: Any) -> tuple[set[str], str]:
    """All nodes that a full cycle may choose, and its words when there are none."""
    state = CycleState()
    feasible, diagnosis = framework.find_feasible(state, one, nodes)
    if not feasible:
        return set(), diagnosis.text()
    scores = framework.score(state, one, feasible)
    return {name for name, score in scores.items() if score == max(scores.values())}, ""


@pytest.mark.parametrize("seed", range(40))
def test_alike_pods_are_decided_as_by_full_cycles(handle: Handle, seed: int) -> None:
    rng = random.Random(seed)
    framework, cache, classes = Profile().build(handle), SchedulerCache(), Classes(rng)
    names = [f"n{number}" for number in range(rng.randint(1, 12))]
    for name in names:
        cache.set_node(node(name, rng))
    placed: list[str] = []
    answered = 0
    for number in range(80):
        one = pod(f"p{number}", rng, rng.randrange(7))
        snapshot = cache.snapshot()
        found = classes.choose(framework, one, snapshot, CycleState())
        allowed, words = best_of(framework, one, snapshot)
        if found is not None:
            answered += 1
            chosen, diagnosis = found
            assert (chosen in allowed) if allowed else chosen is None
            assert chosen is not None or diagnosis.text() == words
        chosen_now = min(allowed, default="") if found is None else found[0] or ""
        if chosen_now:
            cache.assume(one, chosen_now)
            placed.append(one.uid)
        change = rng.random()
        if change < 0.15 and placed:
            cache.remove_pod(placed.pop(rng.randrange(len(placed))))
        elif change < 0.25:
            cache.set_node(node(rng.choice(names), rng))
        elif change < 0.3 and len(names) > 1:
            gone = names.pop(rng.randrange(len(names)))
            cache.remove_node(gone)
        elif change < 0.35:
            names.append(f"m{number}")
            cache.set_node(node(names[-1], rng))
        elif change < 0.4:
            cache.nominate(pod(f"q{number}", rng, 0), rng.choice(names))
        cache.check_invariants()
    assert answered > 20


def test_a_pod_that_others_care_about_takes_a_full_cycle(handle: Handle) -> None:
    rng = random.Random(1)
    framework, cache, classes = Profile().build(handle), SchedulerCache(), Classes(rng)
    for name in ("a", "b"):
        cache.set_node({**node(name, rng), "spec": {}})
    first, second, third = (pod(f"p{number}", rng, 0) for number in range(3))
    assert classes.choose(framework, first, cache.snapshot(), CycleState()) is None
    assert classes.choose(framework, second, cache.snapshot(), CycleState()) is not None
    term = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}
    terms = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    shy = {
        "metadata": {"name": "shy", "namespace": "d", "uid": "shy"},
        "spec": {"containers": [], "affinity": {"podAntiAffinity": terms}},
    }
    cache.assume(pod_info(shy), "a")
    assert classes.choose(framework, third, cache.snapshot(), CycleState()) is None
    cache.remove_pod("shy")
    assert classes.choose(framework, third, cache.snapshot(), CycleState()) is not None


def claimed(**volume: Any) -> PodInfo:
    """A pod with a volume."""
    metadata = {"name": "p", "namespace": "d", "uid": "p"}
    spec = {"containers": [], "volumes": [{"name": "v", **volume}]}
    return pod_info({"metadata": metadata, "spec": spec})


def test_pods_with_claims_are_judged_one_by_one() -> None:
    assert class_of(claimed(emptyDir={}))
    assert not class_of(claimed(persistentVolumeClaim={"claimName": "c"}))
    assert not class_of(claimed(ephemeral={}))


@pytest.mark.parametrize(
    ("count", "percentage", "expected"),
    [
        (50, 0, 50),
        (99, 10, 99),
        (1000, 0, 420),
        (5000, 0, 500),
        (15000, 0, 750),
        (1000, 100, 1000),
        (1000, 5, 100),
        (3000, 30, 900),
    ],
)
def test_how_many_feasible_nodes_are_enough(count: int, percentage: int, expected: int) -> None:
    assert most_to_score(count, percentage) == expected
