"""An API server behind the API server: a small one of ours, over TLS, which believes a front proxy alone."""

import asyncio
import datetime
import json
import random
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.apiserver.app import ApiServer
from controlplane.apiserver.config import ApiServerConfig
from controlplane.kinds.core.service import SERVICES
from controlplane.storage.memory import MemoryStorage
from kvstore.base.clock import SystemClock
from kvstore.local.certificates import CertificateAuthority

SECONDS = 60
NAME = "v1.shop.example.com"
ROOT = "/apis/shop.example.com/v1"
OBJECTS = "/apis/apiregistration.k8s.io/v1/apiservices"
RESOURCE = {
    "name": "orders",
    "singularName": "order",
    "namespaced": True,
    "kind": "Order",
    "verbs": ["get", "list", "watch"],
    "shortNames": ["od"],
}
OPENAPI = {
    "swagger": "2.0",
    "info": {"title": "Shop", "version": "v1"},
    "paths": {f"{ROOT}/orders": {"get": {"responses": {"200": {"description": "OK"}}}}},
    "definitions": {},
}


class Shop:
    """The server behind; `asked` are the headers of requests for orders."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.is_well = True
        self.port = 0
        self.release = asyncio.Event()

    async def start(self, tls: ssl.SSLContext) -> web.AppRunner:
        application = web.Application()
        application.router.add_get(ROOT, self.discovery)
        application.router.add_get("/openapi/v2", self.openapi)
        application.router.add_get("/openapi/v3", self.index)
        application.router.add_route("*", f"{ROOT}/{{path:.*}}", self.orders)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = runner.addresses[0][1]
        return runner

    async def discovery(self, request: web.Request) -> web.Response:
        if not self.is_well:
            return web.Response(status=500)
        content = {"kind": "APIResourceList", "groupVersion": "shop.example.com/v1"}
        return web.json_response({**content, "resources": [RESOURCE]})

    async def openapi(self, request: web.Request) -> web.Response:
        return web.json_response(OPENAPI)

    async def index(self, request: web.Request) -> web.Response:
        path = ROOT.removeprefix("/")
        where = {"serverRelativeURL": f"/openapi/v3/{path}?hash=1"}
        return web.json_response({"paths": {path: where, "apis/apps/v1": where}})

    async def orders(self, request: web.Request) -> web.StreamResponse:
        names = {name.lower() for name in request.headers}
        self.asked.append({name: request.headers.getall(name) for name in names})
        if request.method == "POST":
            return web.json_response({"kind": "Order", "sent": await request.json()}, status=201)
        if not request.query.get("watch"):
            return web.json_response({"kind": "OrderList", "items": []})
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(b'{"type":"ADDED"}\n')
        await self.release.wait()
        await answer.write(b'{"type":"DELETED"}\n')
        return answer


class World:
    """The API server before it, and its administrator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = MemoryStorage(SystemClock())
        self.shop = Shop()
        self.session = aiohttp.ClientSession(headers={"Authorization": "Bearer secret"})
        self.bundle = b""
        self.url = ""

    async def start(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        proxies = CertificateAuthority(self.folder / "proxies", now)
        proxy = proxies.identity("proxy", "front-proxy-client")
        authority = CertificateAuthority(self.folder / "serving", now)
        serving = authority.identity("shop", "shop", hosts=["shop.default.svc"], server=True)
        self.bundle = serving.ca_file.read_bytes()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(proxy.ca_file))
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(serving.cert_file, serving.key_file)
        self.runner = await self.shop.start(tls)
        tokens = self.folder / "tokens"
        tokens.write_text('secret,admin,7,"system:masters"\nother,nobody,2\n')
        config = ApiServerConfig(
            secure_port=0,
            token_auth_file=str(tokens),
            authorization_modes=("RBAC",),
            proxy_client_cert_file=str(proxy.cert_file),
            proxy_client_key_file=str(proxy.key_file),
            requestheader_client_ca_file=str(proxy.ca_file),
            requestheader_allowed_names=("front-proxy-client",),
            stop_seconds=0.1,
        )
        self.api = ApiServer(config, self.storage, SystemClock(), random.Random(1))
        await self.api.start()
        self.url = f"http://127.0.0.1:{self.api.port}"
        await self.api.server.bootstrapped.wait()

    async def stop(self) -> None:
        await self.session.close()
        await self.api.stop()
        await self.runner.cleanup()

    async def ask(
        self, path: str, method: str = "GET", **options: Any
    ) -> tuple[int, dict[str, str], bytes]:
        async with self.session.request(method, f"{self.url}{path}", **options) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def content(self, path: str, **options: Any) -> Any:
        return json.loads((await self.ask(path, **options))[2])

    def put_service(self) -> None:
        metadata = {"name": "shop", "namespace": "default"}
        spec = {"type": "ExternalName", "externalName": "127.0.0.1"}
        self.storage.put(SERVICES.key("default", "shop"), {"metadata": metadata, "spec": spec})

    async def register(self, bundle: bytes | None = None, **more: Any) -> None:
        spec = {
            "group": "shop.example.com",
            "version": "v1",
            "groupPriorityMinimum": 2000,
            "versionPriority": 10,
            "service": {"namespace": "default", "name": "shop", "port": self.shop.port},
            **more,
        }
        if not more:
            spec["caBundle"] = b64encode(bundle or self.bundle).decode()
        obj = {"kind": "APIService", "metadata": {"name": NAME}, "spec": spec}
        code, _, raw = await self.ask(OBJECTS, "POST", json=obj)
        assert code == 201, raw

    async def condition(self) -> tuple[str, str, str]:
        obj = await self.content(f"{OBJECTS}/{NAME}")
        rows = (obj.get("status") or {}).get("conditions") or [{}]
        return tuple(str(rows[0].get(key)) for key in ("status", "reason", "message"))  # type: ignore[return-value]

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        while not await check():
            await asyncio.sleep(0.05)

    async def until_condition(self, status: str, reason: str) -> str:
        async def check() -> bool:
            return (await self.condition())[:2] == (status, reason)

        await self.until(check)
        return (await self.condition())[2]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    async with asyncio.timeout(SECONDS):
        await made.start()
    try:
        async with asyncio.timeout(SECONDS):
            yield made
    finally:
        made.shop.release.set()
        await made.stop()


async def test_from_registration_to_the_answer(world: World) -> None:
    await world.register()
    message = await world.until_condition("False", "ServiceNotFound")
    assert message == 'service/shop in "default" is not present'
    code, headers, raw = await world.ask(f"{ROOT}/orders")
    assert (code, raw) == (503, b"service unavailable\n")
    assert headers["Content-Type"].startswith("text/plain")
    groups = await world.content("/apis")
    assert [one["name"] for one in groups["groups"]][-1] == "shop.example.com"

    world.put_service()
    assert await world.until_condition("True", "Passed") == "all checks passed"
    code, _, raw = await world.ask(f"{ROOT}/orders?limit=5")
    assert (code, json.loads(raw)["kind"]) == (200, "OrderList")
    asked = world.shop.asked.pop()
    assert asked["x-remote-user"] == ["admin"]
    assert asked["x-remote-group"] == ["system:masters", "system:authenticated"]
    assert asked["x-remote-uid"] == ["7"]
    assert asked["host"] == [f"shop.default.svc:{world.shop.port}"]
    assert asked["audit-id"]
    assert "authorization" not in asked

    given = {"X-Remote-User": "root", "X-Remote-Group": "root"}
    code, _, raw = await world.ask(f"{ROOT}/orders", "POST", json={"a": 1}, headers=given)
    assert (code, json.loads(raw)["sent"]) == (201, {"a": 1})
    assert world.shop.asked.pop()["x-remote-group"] == ["system:masters", "system:authenticated"]

    # Who may not ask for it here does not get there.
    code, _, _ = await world.ask(f"{ROOT}/orders", headers={"Authorization": "Bearer other"})
    assert (code, world.shop.asked) == (403, [])

    async with world.session.get(f"{world.url}{ROOT}/orders?watch=true") as answer:
        assert await answer.content.readline() == b'{"type":"ADDED"}\n'
        world.shop.release.set()
        assert await answer.content.readline() == b'{"type":"DELETED"}\n'


async def test_what_it_serves_is_told_with_ours(world: World) -> None:
    world.put_service()
    await world.register()
    await world.until_condition("True", "Passed")
    group = await world.content("/apis/shop.example.com")
    assert group["preferredVersion"]["groupVersion"] == "shop.example.com/v1"
    assert (await world.content(ROOT))["resources"] == [RESOURCE]
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    document = await world.content("/apis", headers=accept)
    names = [one["metadata"]["name"] for one in document["items"]]
    assert names.index("shop.example.com") > names.index("apps")
    [version] = document["items"][names.index("shop.example.com")]["versions"]
    assert version["freshness"] == "Current"
    assert version["resources"][0]["shortNames"] == ["od"]
    openapi = await world.content("/openapi/v2")
    assert {f"{ROOT}/orders", "/api/v1/namespaces/{namespace}/pods"} <= set(openapi["paths"])
    index = await world.content("/openapi/v3")
    assert index["paths"][ROOT[1:]]["serverRelativeURL"].endswith("?hash=1")
    assert not index["paths"]["apis/apps/v1"]["serverRelativeURL"].endswith("?hash=1")
    assert ROOT in (await world.content("/"))["paths"]

    await world.ask(f"{OBJECTS}/{NAME}", "DELETE")

    async def gone() -> bool:
        paths = set((await world.content("/openapi/v2"))["paths"])
        return f"{ROOT}/orders" not in paths and (await world.ask(ROOT))[0] == 404

    await world.until(gone)


async def test_a_server_that_is_not_believed_or_not_well(world: World) -> None:
    world.put_service()
    other = CertificateAuthority(world.folder / "other", datetime.datetime.now(datetime.UTC))
    await world.register(other.ca_file.read_bytes())
    message = await world.until_condition("False", "FailedDiscoveryCheck")
    assert message.startswith("failing or missing response from https://")
    assert "certificate" in message
    world.shop.is_well = False
    patch = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    headers = {"Content-Type": "application/merge-patch+json"}
    code, _, _ = await world.ask(
        f"{OBJECTS}/{NAME}", "PATCH", data=json.dumps(patch), headers=headers
    )
    assert code == 200

    async def is_told() -> bool:
        return (await world.condition())[2].endswith(": 500")

    await world.until(is_told)
    world.shop.is_well = True
    await world.until_condition("True", "Passed")


async def test_custom_resources_and_trust(world: World) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tools.work.example.com"},
        "spec": {
            "group": "work.example.com",
            "scope": "Namespaced",
            "names": {"plural": "tools", "singular": "tool", "kind": "Tool"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    code, _, raw = await world.ask(path, "POST", json=definition)
    assert code == 201, raw

    async def is_there() -> bool:
        return (await world.ask(f"{OBJECTS}/v1.work.example.com"))[0] == 200

    await world.until(is_there)
    obj = await world.content(f"{OBJECTS}/v1.work.example.com")
    assert obj["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert obj["status"]["conditions"][0]["reason"] == "Local"
    await world.ask(f"{path}/tools.work.example.com", "DELETE")

    async def is_gone() -> bool:
        return not await is_there()

    await world.until(is_gone)
    config = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    data = (await world.content(config))["data"]
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
