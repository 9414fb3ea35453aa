"""Requests passed on to pods, Services and nodes: an API server, a kubelet and a pod's server, all on sockets."""

import asyncio
import datetime
import io
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.apiserver.app import ApiServer
from controlplane.apiserver.config import ApiServerConfig
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.interface import ContainerConfig, SandboxConfig
from controlplane.kubelet.server.server import KubeletServer, tls_context
from controlplane.storage.memory import MemoryStorage
from kvstore.base.clock import SystemClock
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

BASE = "/api/v1/namespaces/default"
SECONDS = 60


async def told(request: web.Request) -> web.StreamResponse:
    """What a pod's server is asked."""
    body = await request.read()
    content = {
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name, value] for name, value in request.headers.items()],
        "length": len(body),
        "body": body[:20].decode(),
    }
    headers = {"Access-Control-Allow-Origin": "*", "X-Own": "1"}
    answer = web.json_response(content, headers=headers)
    answer.headers.add("Set-Cookie", "a=1")
    answer.headers.add("Set-Cookie", "b=2")
    return answer


async def page(request: web.Request) -> web.StreamResponse:
    answer = web.Response(text='<a href="/next">n</a>', content_type="text/html")
    if request.query:
        answer.enable_compression(web.ContentCoding.gzip)
    return answer


async def moved(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/next?x=1"})


async def cut(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport is not None
    request.transport.close()
    return answer


async def chat(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("chat",))
    if not socket.can_prepare(request).ok:
        return web.Response(status=426, text="no socket")
    await socket.prepare(request)
    await socket.send_str(request.headers.get("Sec-WebSocket-Protocol", ""))
    async for message in socket:
        await socket.send_bytes(message.data * 2)
    return socket


def pod(name: str, port: int, ip: str = "127.0.0.1", node: str = "n") -> dict[str, Any]:
    container = {"name": "c", "ports": [{"containerPort": port}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"u-{name}"},
        "spec": {"nodeName": node, "containers": [container]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    }


def node(name: str, runtime: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {"containerRuntimeVersion": f"{runtime}://1"},
        },
    }


def service(name: str, *ports: tuple[str, int]) -> dict[str, Any]:
    rows = [{"name": name, "port": number, "protocol": "TCP"} for name, number in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": rows, "clusterIP": "None", "type": "ClusterIP"},
    }


class World:
    """All of them; `get` asks the API server as its administrator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.storage = MemoryStorage(self.clock)
        self.kubelet_port = 0
        self.port = 0
        self.url = ""
        self.session = aiohttp.ClientSession(headers={"Authorization": "Bearer secret"})
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        authority = CertificateAuthority(self.folder, datetime.datetime.now(datetime.UTC))
        own = authority.identity("api", "kube-apiserver-kubelet-client")
        serving = authority.identity("node", "system:node:n", hosts=["127.0.0.1"], server=True)
        application = web.Application(client_max_size=0)
        application.router.add_get("/page", page)
        application.router.add_get("/moved", moved)
        application.router.add_get("/cut", cut)
        application.router.add_get("/chat", chat)
        application.router.add_route("*", "/{path:.*}", told)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        self.port = runner.addresses[0][1]
        runtime = FakeRuntime(self.clock)
        box = await runtime.run_sandbox(SandboxConfig("u-p", "p", "default", "127.0.0.1"))
        await runtime.create_container(box.id, ContainerConfig("c", 0, "i", "i", ("run",)))
        self.pods = {"p": pod("p", self.port), "gone": pod("gone", self.port)}
        indexer: Any = SimpleNamespace(get=lambda name, namespace: self.pods.get(name))
        ports: list[int] = []
        tls = tls_context(str(serving.cert_file), str(serving.key_file), str(serving.ca_file))
        kubelet = KubeletServer(runtime, indexer, self.clock)
        self._runners.append(await kubelet.serve("127.0.0.1", 0, tls, ports.append))
        self.kubelet_port = ports[0]
        for one in (
            *self.pods.values(),
            pod("loopback", self.port, node="foreign"),
            pod("metadata", 80, "169.254.169.254", node="foreign"),
            pod("unbound", self.port, node=""),
        ):
            self.storage.put(PODS.key("default", one["metadata"]["name"]), one)
        self.storage.put(NODES.key("", "n"), node("n", "process", self.kubelet_port))
        self.storage.put(NODES.key("", "foreign"), node("foreign", "containerd", 1))
        tokens = self.folder / "tokens"
        tokens.write_text('secret,admin,1,"system:masters"\nother,nobody,2\n')
        config = ApiServerConfig(
            secure_port=0,
            token_auth_file=str(tokens),
            authorization_modes=("RBAC",),
            kubelet_client_cert_file=str(own.cert_file),
            kubelet_client_key_file=str(own.key_file),
            kubelet_ca_file=str(own.ca_file),
            stop_seconds=0.1,
        )
        self.api = ApiServer(config, self.storage, self.clock, random.Random(1))
        await self.api.start()
        self.url = f"http://127.0.0.1:{self.api.port}"

    async def stop(self) -> None:
        await self.session.close()
        await self.api.stop()
        for runner in self._runners:
            await runner.cleanup()

    def serve(
        self, name: str, *subsets: dict[str, Any], ports: tuple[tuple[str, int], ...]
    ) -> None:
        self.storage.put(SERVICES.key("default", name), service(name, *ports))
        endpoints = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": name, "namespace": "default"},
            "subsets": list(subsets),
        }
        self.storage.put(ENDPOINTS.key("default", name), endpoints)

    async def ask(
        self, path: str, method: str = "GET", **options: Any
    ) -> tuple[int, dict[str, str], bytes]:
        url = f"{self.url}{path}"
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            return answer.status, dict(answer.headers), await answer.read()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    async with asyncio.timeout(SECONDS):
        await made.start()
    try:
        async with asyncio.timeout(SECONDS):
            yield made
    finally:
        await made.stop()


def address(name: str, ip: str = "127.0.0.1", namespace: str = "default") -> dict[str, Any]:
    return {"ip": ip, "targetRef": {"kind": "Pod", "namespace": namespace, "name": name}}


async def test_methods_bodies_and_headers(world: World) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        headers = {"X-Remote-User": "root", "Cookie": "c=d", "Connection": "x-mine", "X-Mine": "1"}
        code, got, raw = await world.ask(
            f"{BASE}/pods/p/proxy/a%20b/c?q=1&watch=true", method, headers=headers
        )
        assert (code, json.loads(raw)["method"]) == (200, method)
        assert json.loads(raw)["path"] == "/a%20b/c?q=1&watch=true"
        sent = {name.lower(): value for name, value in json.loads(raw)["headers"]}
        assert sent["host"] == f"127.0.0.1:{world.api.port}"
        assert sent["x-forwarded-for"] == "127.0.0.1"
        assert sent["x-forwarded-uri"] == f"{BASE}/pods/p/proxy/a%20b/c"
        assert sent["cookie"] == "c=d"
        assert not {"authorization", "x-remote-user", "x-mine"} & set(sent)
        assert "Access-Control-Allow-Origin" not in got
        assert got["X-Own"] == "1"
        assert got["Audit-Id"]
    async with world.session.get(f"{world.url}{BASE}/pods/p/proxy/x") as answer:
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    code, got, raw = await world.ask(f"{BASE}/pods/p/proxy/x", "HEAD")
    assert (code, raw) == (200, b"")
    assert int(got["Content-Length"]) > 0

    # More than the API itself takes: a proxied body is not held.
    large = b"x" * (4 * 1024 * 1024)
    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy/up", "POST", data=io.BytesIO(large))
    assert (code, json.loads(raw)["length"]) == (200, len(large))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece "

    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy/up", "PUT", data=pieces())
    assert (code, json.loads(raw)["body"]) == (200, "piece piece piece ")


async def test_the_bare_path_and_links(world: World) -> None:
    code, headers, raw = await world.ask(f"{BASE}/pods/p/proxy?a=b")
    assert (code, headers["Location"], raw) == (301, f"{BASE}/pods/p/proxy/?a=b", b"")
    code, headers, _ = await world.ask(f"{BASE}/pods/p/proxy", "HEAD")
    assert (code, headers["Location"]) == (301, f"{BASE}/pods/p/proxy/")
    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy", "POST")
    assert (code, json.loads(raw)["path"]) == (200, "/")
    code, headers, _ = await world.ask(f"{BASE}/pods/p/proxy/moved")
    assert (code, headers["Location"]) == (302, f"{BASE}/pods/p/proxy/next?x=1")
    for query in ("", "?zipped"):
        code, _, raw = await world.ask(f"{BASE}/pods/p:{world.port}/proxy/page{query}")
        wanted = f'<a href="{BASE}/pods/p:{world.port}/proxy/next">n</a>'
        assert (code, raw.decode()) == (200, wanted)


async def test_other_protocols_pass(world: World) -> None:
    protocols = ("base64url.bearer.authorization.k8s.io.c2VjcmV0", "chat")
    async with world.session.ws_connect(
        f"{world.url}{BASE}/pods/p/proxy/chat", protocols=protocols
    ) as socket:
        # The token is not the pod's business.
        assert (await socket.receive_str(), socket.protocol) == ("chat", "chat")
        data = bytes(range(256)) * 1000
        await socket.send_bytes(data)
        assert await socket.receive_bytes() == data * 2
    headers = {"Connection": "Upgrade", "Upgrade": "other"}
    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy/chat", headers=headers)
    assert (code, raw) == (426, b"no socket")
    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy/page", headers=headers)
    assert code == 500
    assert json.loads(raw)["message"] == "invalid upgrade response: status code 200"


async def test_services(world: World) -> None:
    port = world.port
    world.serve(
        "s",
        {"addresses": [address("gone", "10.9.9.9")], "ports": [{"name": "other", "port": 1}]},
        {"addresses": [address("p")], "ports": [{"name": "web", "port": port}]},
        ports=(("web", 80), ("other", 81)),
    )
    for name in ("s:web", "http:s:web", "s:80"):
        code, _, raw = await world.ask(f"{BASE}/services/{name}/proxy/x")
        assert (code, json.loads(raw)["path"]) == (200, "/x")
    world.serve("one", {"addresses": [address("p")], "ports": [{"port": port}]}, ports=(("", 80),))
    code, _, raw = await world.ask(f"{BASE}/services/one/proxy/x")
    assert (code, json.loads(raw)["path"]) == (200, "/x")


async def test_nodes(world: World) -> None:
    for name in ("n", f"n:{world.kubelet_port}", f"https:n:{world.kubelet_port}"):
        code, _, raw = await world.ask(f"/api/v1/nodes/{name}/proxy/healthz")
        assert (code, raw) == (200, b"ok")


async def test_refusals(world: World) -> None:
    closed = free_port()
    world.serve("empty", ports=(("", 80),))
    world.serve(
        "strange",
        {
            "addresses": [
                {"ip": "127.0.0.1"},
                address("p", namespace="other"),
                address("p", "10.1.1.1"),
                address("absent"),
            ],
            "ports": [{"port": world.port}],
        },
        ports=(("", 80),),
    )
    table = {
        "pods/a:b:c:d": (400, 'invalid pod request "a:b:c:d"'),
        "pods/ftp:p:21": (400, 'invalid pod request "ftp:p:21"'),
        "pods/absent": (404, 'pods "absent" not found'),
        # An address that no kubelet answers for must be a host's.
        "pods/loopback": (400, "address not allowed"),
        "pods/metadata": (400, "address not allowed"),
        "pods/unbound": (400, "address not allowed"),
        f"pods/p:{closed}": (
            503,
            "error trying to reach service: dial tcp "
            f"127.0.0.1:{closed}: connect: connection refused",
        ),
        "pods/p:web": (
            503,
            "error trying to reach service: dial tcp: lookup tcp/web: unknown port",
        ),
        # The kubelet knows the pod, but nothing of it runs.
        "pods/gone": (503, 'error trying to reach service: pod "gone" is not running'),
        "services/a:b:c:d": (400, 'invalid service request "a:b:c:d"'),
        "services/absent": (404, 'endpoints "absent" not found'),
        "services/absent:80": (404, 'services "absent" not found'),
        "services/empty": (503, 'no endpoints available for service "empty"'),
        "services/empty:81": (503, 'no service port 81 found for service "empty"'),
        "services/strange": (503, 'no endpoints available for service "strange"'),
        "services/strange:web": (503, 'no endpoints available for service "strange:web"'),
    }
    for path, (code, message) in table.items():
        got, _, raw = await world.ask(f"{BASE}/{path}/proxy/x")
        assert (path, got, json.loads(raw)["message"]) == (path, code, message)
    for name, code, message in (
        ("n:1:2:3", 400, 'invalid node request "n:1:2:3"'),
        ("n:22", 400, "address not allowed"),
        ("absent", 404, 'nodes "absent" not found'),
    ):
        got, _, raw = await world.ask(f"/api/v1/nodes/{name}/proxy/x")
        assert (got, json.loads(raw)["message"]) == (code, message)
    got, _, raw = await world.ask(f"{BASE}/pods/p/proxy/x?dryRun=All", "POST")
    assert (got, json.loads(raw)["message"]) == (400, "dryRun is not supported")
    with pytest.raises(aiohttp.ClientError):
        await world.ask(f"{BASE}/pods/p/proxy/cut")
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    got, _, raw = await world.ask(f"{BASE}/pods/p:{closed}/proxy/x", headers=headers)
    assert (got, json.loads(raw)["message"]) == (
        500,
        f"error dialing backend: dial tcp 127.0.0.1:{closed}: connect: connection refused",
    )


@pytest.mark.parametrize(
    ("method", "verb"),
    [("GET", "get"), ("HEAD", "get"), ("POST", "create"), ("OPTIONS", ""), ("DELETE", "delete")],
)
async def test_who_may(world: World, method: str, verb: str) -> None:
    headers = {"Authorization": "Bearer other"}
    code, _, raw = await world.ask(f"{BASE}/pods/p/proxy/x", method, headers=headers)
    assert code == 403
    if method != "HEAD":
        assert f'User "nobody" cannot {verb} resource "pods/proxy"' in json.loads(raw)["message"]
