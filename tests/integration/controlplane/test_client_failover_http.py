"""The HTTP transport with two servers in front of one API server in process: one dies, hangs, or comes back."""

import asyncio
import contextlib
import random

import pytest
from aiohttp import web

from controlplane.api.errors import Conflict, NotFound, ServiceUnavailable
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.client.transport import HttpTransport, Request, TransportError
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.program.health import HealthServer
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import SystemClock
from kvstore.base.tasks import Supervisor


class Front:
    """One HTTP server; `hang` makes it silent, as SIGSTOP would."""

    def __init__(self, api: InProcessServer, port: int = 0) -> None:
        self.api, self.port = api.transport(), port
        self.hang = asyncio.Event()
        self.resumed = asyncio.Event()
        self.seen: list[str] = []

    async def start(self) -> "Front":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        self.resumed.set()
        await self.runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.method)
        if self.hang.is_set():
            await self.resumed.wait()
        if request.path == "/livez":
            return web.Response(text="ok")
        asked = Request(
            request.method, request.path, tuple(request.query.items()),
            await request.read() or None, content_type=request.content_type,
        )  # fmt: skip
        if request.query.get("watch"):
            answer = web.StreamResponse()
            await answer.prepare(request)
            with contextlib.suppress(TransportError, ConnectionError):
                async with self.api.stream(asked) as stream:
                    async for line in stream.lines():
                        if self.hang.is_set():
                            await self.resumed.wait()
                        await answer.write(line + b"\n")
            return answer
        response = await self.api.send(asked)
        return web.Response(status=response.status, body=response.body)


@pytest.fixture
async def pair():
    clock = SystemClock()
    api = await InProcessServer(clock=clock).__aenter__()
    await api.client().create(NAMESPACES, {"metadata": {"name": "d"}})
    fronts = [await Front(api).start() for _ in range(2)]
    transport = HttpTransport(
        [front.url for front in fronts], clock, connect_timeout_seconds=1,
        probe_interval_seconds=0.2, probe_timeout_seconds=0.3,
    )  # fmt: skip
    client = RestClient(transport, timeout_seconds=1)
    supervisor = Supervisor("test")
    yield api, fronts, client, supervisor
    await supervisor.stop()
    await client.close()
    for front in fronts:
        await front.stop()
    await api.__aexit__(None, None, None)


async def until(check, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.01)


def configmap(name):
    return {"metadata": {"name": name}, "data": {"a": "1"}}


async def test_verbs_over_http(pair):
    _, _, client, _ = pair
    made = await client.create(CONFIG_MAPS, configmap("x"), "d")
    assert (await client.get(CONFIG_MAPS, "x", "d")) == made
    changed = await client.update(CONFIG_MAPS, {**made, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAPS, {**made, "data": {"a": "3"}})
    patched = await client.patch(CONFIG_MAPS, "x", {"data": {"b": "ü"}}, "d")
    assert patched["data"] == {"a": "2", "b": "ü"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    listed = await client.list(CONFIG_MAPS, "d")
    assert [item["kind"] for item in listed.items] == ["ConfigMap"]
    await client.delete(CONFIG_MAPS, "x", "d", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, "x", "d")


async def test_a_refused_connection_goes_to_the_next_server_also_for_changes(pair):
    _, fronts, client, _ = pair
    await fronts[0].stop()
    await client.create(CONFIG_MAPS, configmap("x"), "d")
    assert fronts[1].seen == ["POST"]


async def test_a_silent_server_costs_reads_one_timeout_and_changes_an_error(pair):
    _, fronts, client, _ = pair
    fronts[0].hang.set()
    with pytest.raises(ServiceUnavailable) as caught:
        await client.create(CONFIG_MAPS, configmap("x"), "d")
    assert isinstance(caught.value.__cause__, TransportError)
    assert not caught.value.__cause__.outcome_known
    assert fronts[1].seen == []
    await client.create(CONFIG_MAPS, configmap("x"), "d")
    client.transport._current = 0
    assert await client.get(CONFIG_MAPS, "x", "d")


async def test_requests_under_way_end_when_the_server_is_found_silent(pair):
    _, fronts, client, supervisor = pair
    informer = Informer(client, CONFIG_MAPS, SystemClock(), rng=random.Random(1))
    supervisor.start(informer.run(), "informer", eternal=True)
    await informer.wait_synced()
    await until(lambda: client.transport._streams.get(0))
    fronts[0].hang.set()
    loop = asyncio.get_running_loop()
    started = loop.time()
    patient = RestClient(client.transport, timeout_seconds=60)
    with pytest.raises(ServiceUnavailable):
        await patient.create(CONFIG_MAPS, configmap("x"), "d")
    assert loop.time() - started < 10


async def test_no_server_at_all(pair):
    _, fronts, client, _ = pair
    for front in fronts:
        await front.stop()
    with pytest.raises(ServiceUnavailable):
        await client.get(CONFIG_MAPS, "x", "d")


@pytest.mark.parametrize("fault", ["stop", "hang"])
async def test_an_informer_survives_its_server(pair, fault):
    api, fronts, client, supervisor = pair
    informer = Informer(client, CONFIG_MAPS, SystemClock(), rng=random.Random(1))
    heard: list[str] = []
    informer.add_listener(on_add=lambda obj: heard.append(obj["metadata"]["name"]))
    supervisor.start(informer.run(), "informer", eternal=True)
    await informer.wait_synced()
    api.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "d"}})
    await until(lambda: heard == ["a"])
    if fault == "stop":
        await fronts[0].stop()
    else:
        fronts[0].hang.set()
    api.put(CONFIG_MAPS, {"metadata": {"name": "b", "namespace": "d"}})
    await until(lambda: heard == ["a", "b"])
    api.put(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "d"}})
    await until(lambda: heard == ["a", "b", "c"])


async def test_health_names_the_failing_check():
    broken: list[str] = []
    checks = {"good": lambda: None, "bad": lambda: broken[0] if broken else None}
    async with HealthServer("127.0.0.1", 0, checks) as server:
        transport = HttpTransport([f"http://127.0.0.1:{server.port}"], SystemClock())
        assert (await transport.send(Request("GET", "/readyz"))).body == b"ok"
        broken.append("cold")
        answer = await transport.send(Request("GET", "/readyz"))
        assert answer.status == 500
        assert b"[-]bad failed: cold" in answer.body
        assert (await transport.send(Request("GET", "/livez"))).status == 200
        assert b"python_info" in (await transport.send(Request("GET", "/metrics"))).body
        await transport.close()
