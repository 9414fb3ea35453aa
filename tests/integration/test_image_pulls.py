"""Images pulled from a registry on loopback: names, indexes, authorization, damage."""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controlplane.kubelet.images.registry.auth import Credential
from controlplane.kubelet.images.registry.client import Registries, RegistryError
from controlplane.kubelet.images.registry.puller import ImagePuller
from controlplane.kubelet.images.store import ImageStore

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "other")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


def layer(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(made.getvalue())


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """As little of a registry as an image takes."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.user = ""
        """`name:password` of who may pull; "" is everybody."""
        self.scheme = "Bearer"
        self.asked: list[str] = []
        self.base = ""

    def push(self, tag: str, *layers: bytes, of: str = ARCHITECTURE) -> str:
        config = json.dumps({"config": {"Cmd": ["run", tag]}, "architecture": of}).encode()
        for content in (config, *layers):
            self.blobs[digest_of(content)] = content
        document = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"digest": digest_of(config)},
            "layers": [{"digest": digest_of(content)} for content in layers],
        }
        return self.put(tag, _MANIFEST, document)

    def put(self, tag: str, kind: str, document: dict[str, Any]) -> str:
        content = json.dumps(document).encode()
        digest = digest_of(content)
        self.manifests[tag] = self.manifests[digest] = (kind, content)
        return digest

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path
        self.asked.append(path)
        if path == "/token":
            return self._token(request)
        if self.user and request.headers.get("Authorization") != self._expected():
            challenge = f'{self.scheme} realm="{self.base}/token",service="test"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        _, _, rest = path.partition("/v2/team/app/")
        kind, _, name = rest.partition("/")
        if kind == "blobs" and name in self.blobs:
            return web.Response(body=self.blobs[name])
        if kind == "manifests" and name in self.manifests:
            media, content = self.manifests[name]
            return web.Response(body=content, content_type=media)
        return web.Response(status=404)

    def _expected(self) -> str:
        pair = base64.b64encode(self.user.encode()).decode()
        return "Bearer good" if self.scheme == "Bearer" else f"Basic {pair}"

    def _token(self, request: web.Request) -> web.Response:
        assert request.query["scope"] == "repository:team/app:pull"
        pair = base64.b64encode(self.user.encode()).decode()
        if request.headers.get("Authorization") != f"Basic {pair}":
            return web.Response(status=401)
        return web.json_response({"token": "good"})


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    made = Registry()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.base = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


class Node:
    """A store and what pulls into it."""

    def __init__(self, root: Path, registry: Registry, **settings: Any) -> None:
        self.store = ImageStore(root / "store")
        self.puller = ImagePuller(self.store, root / "pulls", Registries(**settings))
        self.host = registry.base.removeprefix("http://")

    async def pull(self, name: str, *credentials: Credential) -> dict[str, str]:
        reference = f"{self.host}/team/app{name}"
        async with asyncio.timeout(60):
            await self.puller.pull(reference, credentials)
        image = self.store.find(reference)
        assert image is not None
        assert image.is_pulled
        root = Path(image.rootfs)
        return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


async def test_by_tag_and_digest(registry: Registry, tmp_path: Path) -> None:
    node = Node(tmp_path, registry)
    digest = registry.push("v1", layer(a="1", b="1"), layer(b="2"))
    assert await node.pull(":v1") == {"a": "1", "b": "2"}
    assert await node.pull(f"@{digest}") == {"a": "1", "b": "2"}
    image = node.store.find(f"{node.host}/team/app:v1")
    assert image is not None
    assert (image.arguments, image.id) == (("run", "v1"), f"{node.host}/team/app@{digest}")
    assert list((tmp_path / "pulls").iterdir()) == [], "nothing half done is left"


async def test_what_is_here_is_not_fetched_again_and_what_changed_is(
    registry: Registry, tmp_path: Path
) -> None:
    node = Node(tmp_path, registry)
    registry.push("v1", layer(a="1"))
    await node.pull(":v1")
    registry.asked.clear()
    await node.pull(":v1")
    assert registry.asked == ["/v2/team/app/manifests/v1"]
    registry.push("v1", layer(a="2"))
    assert await node.pull(":v1") == {"a": "2"}


async def test_an_index_by_the_kind_of_machine(registry: Registry, tmp_path: Path) -> None:
    node = Node(tmp_path, registry)
    other = registry.push("x", layer(a="other"), of="s390x")
    own = registry.push("y", layer(a="own"))
    entries = [
        {"digest": other, "platform": {"os": "linux", "architecture": "s390x"}},
        {"digest": own, "platform": {"os": "linux", "architecture": ARCHITECTURE}},
    ]
    registry.put("v1", _INDEX, {"manifests": entries})
    assert await node.pull(":v1") == {"a": "own"}
    registry.put("v2", _INDEX, {"manifests": entries[:1]})
    with pytest.raises(RegistryError, match="no match for platform"):
        await node.pull(":v2")


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_private_images(registry: Registry, tmp_path: Path, scheme: str) -> None:
    node = Node(tmp_path, registry)
    registry.user, registry.scheme = "jane:secret", scheme
    registry.push("v1", layer(a="1"))
    known = Credential(node.host, "jane", "secret")
    for wrong in ([], [Credential(node.host, "jane", "x")], [Credential("elsewhere.io", "a", "b")]):
        with pytest.raises(RegistryError, match=r"pull access denied|failed to authorize"):
            await node.pull(":v1", *wrong)
    assert await node.pull(":v1", known) == {"a": "1"}


async def test_mirrors_are_asked_first_and_not_relied_upon(
    registry: Registry, tmp_path: Path
) -> None:
    node = Node(tmp_path, registry, mirrors={"docker.io": ("http://127.0.0.1:1", registry.base)})
    registry.push("v1", layer(a="1"))
    await node.puller.pull("team/app:v1", ())
    assert node.store.find("docker.io/team/app:v1") is not None


async def test_what_cannot_be_had(registry: Registry, tmp_path: Path) -> None:
    node = Node(tmp_path, registry)
    reference = f"{node.host}/team/app:none"
    words = f'failed to resolve reference "{reference}": {reference}: not found'
    with pytest.raises(RegistryError) as told:
        await node.pull(":none")
    assert str(told.value) == f'failed to pull and unpack image "{reference}": {words}'

    content = layer(a="1")
    registry.push("v1", content)
    registry.blobs[digest_of(content)] = layer(a="evil")
    with pytest.raises(RegistryError, match="not what its digest says"):
        await node.pull(":v1")
    registry.blobs[digest_of(content)] = content
    assert await node.pull(":v1") == {"a": "1"}, "a damaged pull leaves nothing behind"


async def test_two_pods_pull_once(registry: Registry, tmp_path: Path) -> None:
    node = Node(tmp_path, registry)
    registry.push("v1", layer(a="1"))
    await asyncio.gather(node.pull(":v1"), node.pull(":v1"))
    assert len([path for path in registry.asked if "/blobs/" in path]) == 2
