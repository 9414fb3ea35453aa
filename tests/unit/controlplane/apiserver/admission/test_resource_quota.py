"""ResourceQuota as API servers enforce it: refusals, charges, many servers at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.errors import Forbidden
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Response
from controlplane.client.rest import RestClient
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS
from controlplane.kinds.core.service import SERVICES
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest, InProcessServer
from kvstore.base.clock import SystemClock


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


@pytest.fixture
def client(server: InProcessServer) -> RestClient:
    return server.client()


async def put_quota(server: InProcessServer, name: str = "q", **hard: str) -> None:
    names = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    obj = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hard": names},
        "status": {"hard": names, "used": dict.fromkeys(names, "0")},
    }
    server.put(RESOURCE_QUOTAS, obj)
    await server.app.server.caches.wait_current()


def used(server: InProcessServer, name: str = "q") -> Any:
    quota = server.object(RESOURCE_QUOTAS, name, "default")
    assert quota is not None
    return quota["status"]["used"]


def config_map(name: str) -> Obj:
    return {"metadata": {"name": name}}


def pod(name: str, cpu: str) -> Obj:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


async def test_a_pod_beyond_the_quota_is_refused_in_the_original_s_words(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, cpu="1")
    await client.create(PODS, pod("a", "500m"), "default")
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, pod("b", "2"), "default")
    assert refused.value.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: cpu=2, used: cpu=500m, limited: cpu=1'
    )
    assert refused.value.details() == {"name": "b", "kind": "pods"}
    assert used(server) == {"cpu": "500m"}


async def test_the_charge_is_a_write_of_the_api_server_s(
    server: InProcessServer, client: RestClient
) -> None:
    obj = {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}}
    made = await client.create(RESOURCE_QUOTAS, obj, "default")
    status = {"hard": {"configmaps": "5"}, "used": {"configmaps": "0"}}
    server.put(RESOURCE_QUOTAS, {**made, "status": status})
    await server.app.server.caches.wait_current()
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    quota = await client.get(RESOURCE_QUOTAS, "q", "default")
    entries = quota["metadata"]["managedFields"]
    owners = [(entry["manager"], entry.get("subresource")) for entry in entries]
    assert ("kube-apiserver", "status") in owners


async def test_several_quotas_hold_together(server: InProcessServer, client: RestClient) -> None:
    await put_quota(server, "a", configmaps="5")
    await put_quota(server, "b", count__configmaps="1")
    await client.create(CONFIG_MAPS, config_map("one"), "default")
    with pytest.raises(Forbidden, match="exceeded quota: b"):
        await client.create(CONFIG_MAPS, config_map("two"), "default")
    # What b refused is not charged to a.
    assert used(server, "a") == {"configmaps": "1"}
    assert used(server, "b") == {"count/configmaps": "1"}


async def test_a_dry_run_is_judged_and_not_charged(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, configmaps="1")
    path = "/api/v1/namespaces/default/configmaps?dryRun=All"
    answer = await server.ask(InProcessRequest.of("POST", path, config_map("a")))
    assert isinstance(answer, Response)
    assert answer.status == 201
    assert used(server) == {"configmaps": "0"}
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    answer = await server.ask(InProcessRequest.of("POST", path, config_map("b")))
    assert isinstance(answer, Response)
    assert answer.status == 403
    assert "exceeded quota" in json.loads(answer.body)["message"]


async def test_a_service_that_becomes_more_is_charged_for_the_difference(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, services="2", services_nodeports="1")
    made = await client.create(
        SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}, "default"
    )
    made["spec"]["type"] = "NodePort"
    await client.update(SERVICES, made)
    assert used(server) == {"services": "1", "services.nodeports": "1"}


async def test_a_quota_whose_usage_nobody_has_counted_lets_nothing_in(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, configmaps="5")
    quota = server.object(RESOURCE_QUOTAS, "q", "default")
    assert quota is not None
    quota["status"]["used"] = {}
    server.put(RESOURCE_QUOTAS, quota)
    await server.app.server.caches.wait_current()
    with pytest.raises(Forbidden, match="status unknown for quota: q, resources: configmaps"):
        await client.create(CONFIG_MAPS, config_map("a"), "default")


async def test_a_refusal_by_an_old_state_is_not_believed(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, configmaps="1")
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    await server.app.server.caches.wait_current()
    # Room is made, and the caches have not heard of it.
    quota = server.object(RESOURCE_QUOTAS, "q", "default")
    assert quota is not None
    quota["status"]["used"] = {"configmaps": "0"}
    server.put(RESOURCE_QUOTAS, quota)
    await client.create(CONFIG_MAPS, config_map("b"), "default")


async def test_fifty_at_once_on_three_servers_never_exceed_it() -> None:
    clock = SystemClock()
    storage = MemoryStorage(clock)
    async with (
        InProcessServer(storage=storage, clock=clock, seed=1) as one,
        InProcessServer(storage=storage, clock=clock, seed=2) as two,
        InProcessServer(storage=storage, clock=clock, seed=3) as three,
    ):
        await put_quota(one, "a", pods="20", cpu="100")
        await put_quota(one, "b", count__pods="17")
        clients = [server.client() for server in (one, two, three)]
        results = await asyncio.gather(
            *(
                clients[number % 3].create(PODS, pod(f"p{number}", "1"), "default")
                for number in range(50)
            ),
            return_exceptions=True,
        )
        let_in = [result for result in results if isinstance(result, dict)]
        refused = [result for result in results if not isinstance(result, dict)]
        assert all(isinstance(error, Forbidden) for error in refused)
        assert len(let_in) == len(one.objects(PODS, "default")) == 17
        assert used(one, "b") == {"count/pods": "17"}
        # Upstream, too, may have charged one quota for what another refused a moment later.
        assert 17 <= int(used(one, "a")["pods"]) <= 20


async def test_a_writer_that_is_called_off_leaves_the_others_their_turn(
    server: InProcessServer, client: RestClient
) -> None:
    await put_quota(server, configmaps="50")
    tasks = [
        asyncio.ensure_future(client.create(CONFIG_MAPS, config_map(f"c{n}"), "default"))
        for n in range(10)
    ]
    for _ in range(12):
        await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert sum(isinstance(result, dict) for result in results) >= 9
    assert int(used(server)["configmaps"]) >= len(server.objects(CONFIG_MAPS, "default")) - 1
