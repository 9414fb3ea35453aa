"""Programs that have a say by HTTP, spoken to as upstream's scheduler speaks."""

import json
from typing import Any

import pytest

from controlplane.client.transport import Request, Response, TransportError
from controlplane.scheduler.extenders import (
    Extender,
    ExtenderConfig,
    ExtenderError,
    filtered,
    read_extender,
    scores,
)
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, pod_info
from controlplane.scheduler.framework.status import Code
from controlplane.scheduler.profiles import ConfigurationError, read_configuration

POD: PodInfo = pod_info(
    {
        "metadata": {"name": "p", "namespace": "d", "uid": "u"},
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}]
        },
    }
)


class Answers:
    """A transport that answers as told, by the last part of the path."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    async def send(self, request: Request) -> Response:
        self.asked.append((request.path, json.loads(request.body or b"")))
        answer = self.answers[request.path.rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return Response(status, json.dumps(body).encode())

    def stream(self, request: Request) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


def extender(answers: Answers, **config: Any) -> Extender:
    """One that filters, ranks and binds."""
    usual = {"filter_verb": "filter", "prioritize_verb": "rank", "bind_verb": "bind"}
    return Extender(ExtenderConfig("http://127.0.0.1:1/sched", **{**usual, **config}), answers)


def nodes(*names: str) -> list[NodeInfo]:
    """Nodes of these names."""
    made = []
    for name in names:
        info = NodeInfo(name)
        info.set_node({"metadata": {"name": name}})
        made.append(info)
    return made


async def test_nodes_that_it_does_not_leave_are_refused_with_its_words() -> None:
    answers = Answers(
        filter={
            "NodeNames": ["a"],
            "FailedNodes": {"b": "busy"},
            "FailedAndUnresolvableNodes": {"c": "never"},
        }
    )
    one = extender(answers, knows_nodes=True)
    left, refused = await filtered([one], POD, nodes("a", "b", "c"))
    assert [node.name for node in left] == ["a"]
    assert {name: (status.code, status.reasons) for name, status in refused.items()} == {
        "b": (Code.UNSCHEDULABLE, ("busy",)),
        "c": (Code.UNRESOLVABLE, ("never",)),
    }
    path, body = answers.asked[0]
    assert path == "/sched/filter"
    assert body == {"Pod": POD.object, "Nodes": None, "NodeNames": ["a", "b", "c"]}


async def test_one_that_does_not_know_the_nodes_is_told_them_whole() -> None:
    answers = Answers(filter={"nodes": {"items": [{"metadata": {"name": "b"}}]}})
    left, _ = await filtered([extender(answers)], POD, nodes("a", "b"))
    assert [node.name for node in left] == ["b"]
    assert answers.asked[0][1]["Nodes"]["items"][0] == {"metadata": {"name": "a"}}


async def test_scores_are_scaled_and_weighted() -> None:
    answers = Answers(rank=[{"Host": "a", "Score": 3}, {"Host": "b", "Score": 10}])
    found = await scores([extender(answers, weight=2)], POD, nodes("a", "b"))
    assert found == {"a": 60, "b": 200}


FAILURES = {
    "no_answer": TransportError("gone", outcome_known=True),
    "not_well": (500, {}),
    "it_says_so": {"Error": "no idea"},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_one_that_fails_fails_the_cycle_unless_it_is_ignorable(failure: Any) -> None:
    with pytest.raises(ExtenderError):
        await filtered([extender(Answers(filter=failure))], POD, nodes("a"))
    tolerant = extender(Answers(filter=failure), is_ignorable=True)
    left, _ = await filtered([tolerant], POD, nodes("a"))
    assert [node.name for node in left] == ["a"]


async def test_it_binds() -> None:
    answers = Answers(bind={})
    assert (await extender(answers).bind(POD, "a")).ok
    assert answers.asked == [
        ("/sched/bind", {"PodName": "p", "PodNamespace": "d", "PodUID": "u", "Node": "a"})
    ]
    assert not (await extender(Answers(bind={"Error": "no"})).bind(POD, "a")).ok


def test_only_pods_that_want_what_it_manages_are_its_business() -> None:
    assert extender(Answers()).is_interested(POD)
    assert extender(Answers(), resources=frozenset({"example.com/gpu"})).is_interested(POD)
    assert not extender(Answers(), resources=frozenset({"example.com/fpga"})).is_interested(POD)


HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def test_a_file_names_extenders_and_what_only_they_count() -> None:
    read = read_configuration(
        HEAD
        + """
extenders:
- urlPrefix: http://127.0.0.1:8888/sched/
  filterVerb: filter
  prioritizeVerb: rank
  weight: 5
  httpTimeout: 100ms
  nodeCacheCapable: true
  ignorable: true
  managedResources: [{name: example.com/gpu, ignoredByScheduler: true}]
"""
    )
    (found,) = read.extenders
    assert found == ExtenderConfig(
        "http://127.0.0.1:8888/sched", "filter", "rank", "", 5, 0.1, True,
        frozenset({"example.com/gpu"}), frozenset({"example.com/gpu"}), True,
    )  # fmt: skip
    fit = read.profiles[0].args["NodeResourcesFit"]
    assert fit["ignoredResources"] == ["example.com/gpu"]


def test_what_is_wrong_with_extenders_is_told() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_configuration(
            HEAD + "extenders: [{prioritizeVerb: x, weight: 0, preemptVerb: y, odd: 1}]"
        )
    assert str(raised.value).splitlines() == [
        "extenders[0].odd: not known",
        "extenders[0].urlPrefix: must be given",
        "extenders[0].preemptVerb: extenders have no say in preemption",
        "extenders[0].weight: must have a positive weight applied to it",
    ]
    problems: list[str] = []
    read_extender({"urlPrefix": "https://x", "tlsConfig": {"caFile": "/none"}}, "e", problems)
    assert problems[0].startswith("e.tlsConfig.caFile: ")
