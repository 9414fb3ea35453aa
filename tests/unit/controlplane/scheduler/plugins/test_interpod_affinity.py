"""Company of pods, against a slow model that only says what the documentation says (row 25)."""

import random
from typing import Any

import pytest

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, pod_info
from controlplane.scheduler.framework.status import Code
from controlplane.scheduler.plugins.interpod_affinity import (
    AFFINITY_REASON,
    ANTI_AFFINITY_REASON,
    EXISTING_REASON,
    InterPodAffinity,
)

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def term(key: str = HOST, **labels: str) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": {"matchLabels": labels or {"app": "a"}}}


def pod(name: str, affinity: Any = None, namespace: str = "default", **labels: str) -> PodInfo:
    return pod_info(
        {
            "metadata": {"name": name, "uid": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [], **({"affinity": affinity} if affinity else {})},
        }
    )


def wants(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAffinity": {REQUIRED: list(terms)}}


def shuns(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAntiAffinity": {REQUIRED: list(terms)}}


def node(name: str, zone: str = "", *pods: PodInfo) -> NodeInfo:
    labels = {HOST: name, **({ZONE: zone} if zone else {})}
    info = NodeInfo(name)
    info.set_node({"metadata": {"name": name, "labels": labels}})
    for one in pods:
        info.add_pod(one)
    return info


def verdicts(plugin: InterPodAffinity, one: PodInfo, nodes: list[NodeInfo]) -> dict[str, str]:
    state = CycleState()
    if plugin.pre_filter(state, one, nodes).code is Code.SKIP:
        return {node.name: "" for node in nodes}
    found = {}
    for item in nodes:
        status = plugin.filter(state, one, item)
        found[item.name] = "" if status.ok else status.reasons[0]
    return found


@pytest.fixture
def plugin(handle: Handle) -> InterPodAffinity:
    return InterPodAffinity(handle, {})


A = pod("a1", app="a")


@pytest.mark.parametrize(
    ("incoming", "wanted"),
    [
        pytest.param(pod("x"), ["", "", ""], id="no_terms"),
        pytest.param(
            pod("x", wants(term())), ["", AFFINITY_REASON, AFFINITY_REASON], id="beside_on_the_host"
        ),
        pytest.param(
            pod("x", wants(term(ZONE))), ["", "", AFFINITY_REASON], id="beside_in_the_zone"
        ),
        pytest.param(pod("x", wants(term(app="b"))), [AFFINITY_REASON] * 3, id="nobody_there"),
        pytest.param(
            pod("x", wants(term(app="b")), app="b"), ["", "", ""], id="the_first_of_its_kind"
        ),
        pytest.param(
            pod("x", wants(term(ZONE, app="b")), app="b"),
            ["", "", AFFINITY_REASON],
            id="the_first_needs_the_key",
        ),
        pytest.param(pod("x", shuns(term())), [ANTI_AFFINITY_REASON, "", ""], id="not_on_the_host"),
        pytest.param(
            pod("x", shuns(term(ZONE))),
            [ANTI_AFFINITY_REASON, ANTI_AFFINITY_REASON, ""],
            id="not_in_the_zone",
        ),
        pytest.param(
            pod("x", wants(term()), namespace="other"),
            [AFFINITY_REASON] * 3,
            id="own_namespace_only",
        ),
        pytest.param(
            pod("x", wants({**term(), "namespaces": ["default"]}), namespace="other"),
            ["", AFFINITY_REASON, AFFINITY_REASON],
            id="namespace_by_name",
        ),
        pytest.param(
            pod("x", wants({**term(), "namespaceSelector": {}}), namespace="other"),
            ["", AFFINITY_REASON, AFFINITY_REASON],
            id="any_namespace",
        ),
        pytest.param(
            pod("x", wants({**term(), "matchLabelKeys": ["v"]}), v="2"),
            [AFFINITY_REASON] * 3,
            id="own_label_pinned",
        ),
        pytest.param(
            pod("x", shuns({**term(), "mismatchLabelKeys": ["app"]}), app="a"),
            ["", "", ""],
            id="own_label_excluded",
        ),
    ],
)
def test_filter(plugin: InterPodAffinity, incoming: PodInfo, wanted: list[str]) -> None:
    nodes = [node("n1", "z1", A), node("n2", "z1"), node("n3")]
    assert list(verdicts(plugin, incoming, nodes).values()) == wanted


def test_pods_that_are_there_keep_others_away(plugin: InterPodAffinity) -> None:
    lonely = pod("lonely", shuns(term(ZONE, app="x")), app="y")
    nodes = [node("n1", "z1", lonely), node("n2", "z1"), node("n3", "z2")]
    found = verdicts(plugin, pod("x", app="x"), nodes)
    assert list(found.values()) == [EXISTING_REASON, EXISTING_REASON, ""]
    assert set(verdicts(plugin, pod("z", app="z"), nodes).values()) == {""}


def test_preferences_of_both_sides_count(plugin: InterPodAffinity) -> None:
    prefers = {"podAffinity": {PREFERRED: [{"weight": 10, "podAffinityTerm": term(ZONE)}]}}
    dislikes = {
        "podAntiAffinity": {PREFERRED: [{"weight": 50, "podAffinityTerm": term(HOST, app="x")}]}
    }
    nodes = [node("n1", "z1", A), node("n2", "z1", pod("d", dislikes)), node("n3", "z2")]
    incoming, state = pod("x", prefers, app="x"), CycleState()
    assert plugin.pre_score(state, incoming, nodes).ok
    raw = {item.name: plugin.score(state, incoming, item) for item in nodes}
    assert raw == {"n1": 10, "n2": -40, "n3": 0}
    assert plugin.normalize(raw) == {"n1": 100, "n2": 0, "n3": 80}


@pytest.mark.parametrize("value", [-1, 101, "x"])
def test_wrong_arguments_are_refused(handle: Handle, value: Any) -> None:
    with pytest.raises(ValueError, match="hardPodAffinityWeight"):
        InterPodAffinity(handle, {"hardPodAffinityWeight": value})


def _means(raw: dict[str, Any], owner: PodInfo, other: PodInfo) -> bool:
    wanted = raw["labelSelector"]["matchLabels"]
    return owner.namespace == other.namespace and wanted.items() <= other.labels.items()


def _terms(one: PodInfo, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (one.affinity.get(kind) or {}).get(REQUIRED) or []
    return found


def model(one: PodInfo, target: NodeInfo, nodes: list[NodeInfo]) -> bool:
    """May the pod run on the node? By the words of the documentation, over all pairs."""

    def shares(key: str, item: NodeInfo) -> bool:
        return key in target.labels and target.labels[key] == item.labels.get(key)

    everywhere = [(item, other) for item in nodes for other in item.pods.values()]
    for raw in _terms(one, "podAntiAffinity"):
        if any(
            _means(raw, one, other) and shares(raw["topologyKey"], item)
            for item, other in everywhere
        ):
            return False
    for item, other in everywhere:
        for raw in _terms(other, "podAntiAffinity"):
            if _means(raw, other, one) and shares(raw["topologyKey"], item):
                return False
    terms = _terms(one, "podAffinity")
    if any(raw["topologyKey"] not in target.labels for raw in terms):
        return False
    company = [
        (item, other) for item, other in everywhere if all(_means(raw, one, other) for raw in terms)
    ]
    met = all(any(shares(raw["topologyKey"], item) for item, _ in company) for raw in terms)
    is_first = not any(
        raw["topologyKey"] in item.labels for item, _ in company for raw in terms
    ) and all(_means(raw, one, one) for raw in terms)
    return not terms or met or is_first


@pytest.mark.parametrize("seed", range(60))
def test_random_clusters_agree_with_the_model(plugin: InterPodAffinity, seed: int) -> None:
    rng = random.Random(seed)

    def some_pod(number: int) -> PodInfo:
        labels = {"app": rng.choice("abc")}
        affinity: dict[str, Any] = {}
        for kind in ("podAffinity", "podAntiAffinity"):
            if rng.random() < 0.35:
                terms = [
                    term(rng.choice((HOST, ZONE)), app=rng.choice("abc"))
                    for _ in range(rng.randint(1, 2))
                ]
                affinity[kind] = {REQUIRED: terms}
        return pod(f"p{number}", affinity, rng.choice(("default", "other")), **labels)

    nodes = [node(f"n{n}", rng.choice(("", "z1", "z2"))) for n in range(rng.randint(1, 6))]
    for number in range(rng.randint(0, 12)):
        rng.choice(nodes).add_pod(some_pod(number))
    for number in range(20):
        incoming = some_pod(100 + number)
        found = verdicts(plugin, incoming, nodes)
        assert {n: not why for n, why in found.items()} == {
            item.name: model(incoming, item, nodes) for item in nodes
        }, (incoming.object, found)
