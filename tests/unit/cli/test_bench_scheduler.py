"""The pods and nodes of the scheduler's benchmark are such as an API server takes."""

import pytest

from cli.bench_scheduler import CASES, Outcome, node_of, pod_of
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.in_process import InProcessServer


@pytest.mark.parametrize("name", CASES)
async def test_pods_of_a_case_are_taken_by_the_api_server(name: str) -> None:
    case = CASES[name]
    async with InProcessServer() as server:
        client = server.client()
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
        await client.create(NODES, node_of(1))
        made = await client.create(PODS, pod_of(case, "p", case.spec), "default")
        assert made["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "100m"
        init = case.spec if case.init_spec is None else case.init_spec
        await client.create(PODS, pod_of(case, "i", {**init, "nodeName": "n"}), "default")


def test_the_rate_is_between_the_first_and_the_last() -> None:
    assert Outcome(101, 101, 2.0, 1.0, 0.0).pods_per_second == 50.0
    assert Outcome(0, 10, 0.0, 0.0, 0.0).pods_per_second == 0.0
