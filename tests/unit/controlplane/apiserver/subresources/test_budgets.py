"""Evictions are asked of the pod's disruption budget."""

import pytest

from controlplane.api.errors import APIError, Conflict, Internal, TooManyRequests
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from controlplane.testing.in_process import InProcessServer


def pod(name: str, *, ready: bool = True, phase: str = "Running") -> dict:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]},
        "status": {"phase": phase, "conditions": [condition]},
    }


def budget(name: str = "b", *, allowed: int, generation: int = 1, **spec: object) -> dict:
    return {
        "metadata": {"name": name, "namespace": "default", "generation": 1},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}, **spec},
        "status": {
            "observedGeneration": generation, "disruptionsAllowed": allowed,
            "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 2,
        },
    }  # fmt: skip


async def evict(server: InProcessServer, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    await server.client().create_subresource(PODS, name, "eviction", body, "default")


async def test_an_eviction_is_charged_and_the_next_refused() -> None:
    async with InProcessServer() as server:
        server.put(POD_DISRUPTION_BUDGETS, budget(allowed=1))
        for name in ("p1", "p2"):
            server.put(PODS, pod(name))
        await evict(server, "p1")
        status = server.object(POD_DISRUPTION_BUDGETS, "b", "default")["status"]
        assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["p1"])
        with pytest.raises(TooManyRequests) as caught:
            await evict(server, "p2")
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        assert str(caught.value) == message
        assert [(c.reason, c.message) for c in caught.value.causes] == [
            ("DisruptionBudget", "The disruption budget b needs 2 healthy pods and has 1 currently")
        ]
        assert server.object(PODS, "p2", "default") is not None


@pytest.mark.parametrize(
    ("subject", "budgets", "refusal"),
    [
        pytest.param(pod("p"), [], None, id="no_budget"),
        pytest.param(pod("p", phase="Pending"), [budget(allowed=0)], None, id="not_begun"),
        pytest.param(pod("p", phase="Failed"), [budget(allowed=0)], None, id="ended"),
        pytest.param(
            pod("p", ready=False), [budget(allowed=0, unhealthyPodEvictionPolicy="AlwaysAllow")],
            None, id="unhealthy_may_always_go",
        ),
        pytest.param(pod("p", ready=False), [budget(allowed=0)], TooManyRequests, id="unhealthy"),
        pytest.param(pod("p"), [budget(allowed=1, generation=0)], TooManyRequests, id="unsettled"),
        pytest.param(
            pod("p"), [budget(allowed=1), budget("c", allowed=1)], Internal, id="two_budgets"
        ),
    ],
)  # fmt: skip
async def test_who_may_be_evicted(
    subject: dict, budgets: list[dict], refusal: type[APIError] | None
) -> None:
    async with InProcessServer() as server:
        for one in budgets:
            server.put(POD_DISRUPTION_BUDGETS, one)
        server.put(PODS, subject)
        if refusal is None:
            await evict(server, "p")
            assert server.object(PODS, "p", "default") is None
            return
        with pytest.raises(refusal):
            await evict(server, "p")
        assert server.object(PODS, "p", "default") is not None


async def test_an_evicted_pod_is_told_to_be_no_failure() -> None:
    # Jobs that ignore disruptions go by this condition; found by the conformance suite.
    async with InProcessServer() as server:
        server.put(
            PODS,
            {
                **pod("p"),
                "metadata": {**pod("p")["metadata"], "finalizers": ["example.com/stay"]},
            },
        )
        await evict(server, "p")
        left = server.object(PODS, "p", "default")
        assert left["metadata"]["deletionTimestamp"]
        row = next(c for c in left["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert (row["status"], row["reason"], row["message"]) == (
            "True",
            "EvictionByEvictionAPI",
            "Eviction API: evicting",
        )
        assert row["lastTransitionTime"]


async def test_an_eviction_of_another_pod_than_was_meant_marks_nothing() -> None:
    async with InProcessServer() as server:
        server.put(PODS, pod("p"))
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": "p"},
            "deleteOptions": {"preconditions": {"uid": "other"}},
        }
        with pytest.raises(Conflict) as caught:
            await server.client().create_subresource(PODS, "p", "eviction", body, "default")
        assert "the UID in the precondition (other) does not match" in str(caught.value)
        kept = server.object(PODS, "p", "default")
        assert [c["type"] for c in kept["status"]["conditions"]] == ["Ready"]
