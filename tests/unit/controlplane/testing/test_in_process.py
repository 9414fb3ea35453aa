"""The API server in process: verbs, watches, upgrades, users and faults, with no socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from controlplane.api.errors import Expired, Forbidden, NotFound, ServiceUnavailable, Unauthorized
from controlplane.apiserver.http.messages import ANONYMOUS, User
from controlplane.client.informer import Informer
from controlplane.client.transport import Request
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessServer


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "data": data}


async def test_verbs_pass_every_rule_of_the_server(server: InProcessServer) -> None:
    client = server.client()
    made = await client.create(CONFIG_MAPS, config_map("a", k="v"), "default")
    assert made["metadata"]["uid"]
    assert await client.get(CONFIG_MAPS, "a", "default") == made
    await client.patch(CONFIG_MAPS, "a", {"data": {"k": "w"}}, "default")
    listed = await client.list_all(CONFIG_MAPS, "default")
    assert [one["data"] for one in listed.items if one["metadata"]["name"] == "a"] == [{"k": "w"}]
    with pytest.raises(Forbidden):
        await client.delete(NAMESPACES, "default")
    await client.delete(CONFIG_MAPS, "a", "default")
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, "a", "default")


async def test_the_user_is_the_certificates(server: InProcessServer) -> None:
    seen: list[str] = []
    server.intercept = lambda request: seen.append(request.path)
    with pytest.raises(Unauthorized):
        await server.client(ANONYMOUS).list(CONFIG_MAPS, "default")
    await server.client(User("somebody")).list(CONFIG_MAPS, "default")
    assert len(seen) == 2


async def test_an_informer_follows_and_survives_a_broken_watch(server: InProcessServer) -> None:
    client = server.client()
    informer = Informer(client, CONFIG_MAPS, server.clock)
    running = asyncio.ensure_future(informer.run())
    try:
        async with asyncio.timeout(10):
            await informer.wait_synced()
            await client.create(CONFIG_MAPS, config_map("a"), "default")
            while informer.indexer.get("a", "default") is None:
                await asyncio.sleep(0.001)
            server.break_watches()
            server.forget_history()
            await client.create(CONFIG_MAPS, config_map("b"), "default")
            while informer.indexer.get("b", "default") is None:
                await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def test_a_forgotten_history_is_expired(server: InProcessServer) -> None:
    client = server.client()
    start = (await client.list(CONFIG_MAPS, "default")).resource_version
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    # Not before the cache has the event.
    await client.list(CONFIG_MAPS, "default")
    server.forget_history()
    with pytest.raises(Expired):
        async for _ in client.watch(CONFIG_MAPS, "default", resource_version=start):
            pass


async def test_a_server_that_is_down_is_unavailable(server: InProcessServer) -> None:
    server.down = True
    with pytest.raises(ServiceUnavailable):
        await server.client().list(CONFIG_MAPS, "default")
    server.down = False
    await server.client().list(CONFIG_MAPS, "default")
    assert server.requests.count(("GET", "/api/v1/namespaces/default/configmaps")) == 2


async def test_objects_can_be_put_behind_the_servers_back(server: InProcessServer) -> None:
    server.put(PODS, {"metadata": {"name": "p", "namespace": "default"}, "status": {"phase": "x"}})
    pod = await server.client().get(PODS, "p", "default")
    assert pod["status"] == {"phase": "x"}
    assert server.object(PODS, "p", "default") == pod
    assert server.objects(PODS) == [pod]
    server.remove(PODS, "p", "default")
    assert server.object(PODS, "p", "default") is None


async def test_documents_are_answered(server: InProcessServer) -> None:
    answer = await server.transport().send(Request("GET", "/version"))
    assert answer.status == 200
    assert answer.headers["Audit-Id"]
