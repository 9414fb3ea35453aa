"""A whole API server over a real store with encrypted Secrets: what the store shows, and what clients see."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.apiserver.app import ApiServer, stored_kinds
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, StreamResponse
from controlplane.storage.encryption.encryption import Encryption
from controlplane.storage.kv import KvStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock
from kvstore.client.client import Client
from kvstore.testing.harness.inprocess import InProcessCluster

Obj = dict[str, Any]

pytestmark = pytest.mark.timeout(120)
DEADLINE = 60.0
SECRETS = "/api/v1/namespaces/default/secrets"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
HIDDEN = b"hunter2-and-more"


def configuration(*providers: tuple[str, str]) -> str:
    """Keys by provider and name; a key's bytes follow from its name."""
    shown = [
        {
            kind: {
                "keys": [
                    {"name": name, "secret": base64.b64encode((name * 32)[:32].encode()).decode()}
                ]
            }
        }
        if name
        else {"identity": {}}
        for kind, name in providers
    ]
    return json.dumps(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": shown}],
        }
    )


class Api:
    """One API server's entry."""

    def __init__(self, server: ApiServer, encryption: Encryption) -> None:
        self.server = server
        self.encryption = encryption

    async def ask(self, method: str, url: str, body: object = None) -> tuple[int, Obj]:
        answer = await self.server.chain.handle(InProcessRequest.of(method, url, body))
        assert isinstance(answer, Response)
        return answer.status, json.loads(answer.body)


@asynccontextmanager
async def serving(endpoint: str, path: Path, text: str) -> AsyncIterator[Api]:
    path.write_text(text)
    encryption = Encryption(path, stored_kinds())
    storage = KvStorage([endpoint], timeout_seconds=20.0, encryption=encryption)
    server = ApiServer(
        ApiServerConfig(), storage, SystemClock(), random.Random(1), encryption=encryption
    )
    await server.start(listens=False)
    try:
        async with asyncio.timeout(DEADLINE):
            await server.server.bootstrapped.wait()
        yield Api(server, encryption)
    finally:
        await server.stop()


def secret(name: str) -> Obj:
    data = base64.b64encode(HIDDEN).decode()
    return {"metadata": {"name": name}, "data": {"password": data}}


async def stored(client: Client, key: str) -> bytes:
    result = await client.get(key)
    return result.kvs[0].value


async def test_secrets_are_sealed_in_the_store_and_plain_to_clients(tmp_path: Path) -> None:
    cluster = InProcessCluster(tmp_path, ["a"], SystemClock())
    try:
        await cluster.start_cluster()
        endpoint = next(iter(cluster.endpoints.values()))
        async with Client([endpoint]) as client:
            await _life_of_a_secret(client, endpoint, tmp_path / "encryption")
            await _rotation(client, endpoint, tmp_path / "encryption")
            await _unknown_key(client, endpoint, tmp_path / "encryption")
    finally:
        await cluster.stop_cluster()


async def _life_of_a_secret(client: Client, endpoint: str, path: Path) -> None:
    text = configuration(("secretbox", "one"), ("identity", ""))
    async with serving(endpoint, path, text) as api:
        watching = await api.server.chain.handle(
            InProcessRequest.of("GET", f"{SECRETS}?watch=true")
        )
        assert isinstance(watching, StreamResponse)
        await anext(watching.chunks)
        assert (await api.ask("POST", SECRETS, secret("s")))[0] == 201
        async with asyncio.timeout(DEADLINE):
            event = json.loads(await anext(watching.chunks))
        assert event["object"]["data"] == secret("s")["data"]
        await watching.chunks.aclose()  # type: ignore[attr-defined]
        code, found = await api.ask("GET", f"{SECRETS}/s")
        assert (code, found["data"]) == (200, secret("s")["data"])
        found["data"]["more"] = secret("s")["data"]["password"]
        assert (await api.ask("PUT", f"{SECRETS}/s", found))[0] == 200
        code, listed = await api.ask("GET", SECRETS)
        assert [set(one["data"]) for one in listed["items"]] == [{"password", "more"}]
        assert (await api.ask("POST", CONFIG_MAPS, {"metadata": {"name": "c"}}))[0] == 201
    raw = await stored(client, "/registry/secrets/default/s")
    assert raw.startswith(b"k8s:enc:secretbox:v1:one:")
    everything = await client.get(b"\0", range_end=b"\0")
    for kv in everything.kvs:
        for shown in (HIDDEN, base64.b64encode(HIDDEN), b'"password"'):
            assert shown not in kv.value, kv.key
    assert b'"ConfigMap"' in await stored(client, "/registry/configmaps/default/c")


async def _rotation(client: Client, endpoint: str, path: Path) -> None:
    """A new key first, the old one behind it: what is written again, though nothing in it changes, has the new key."""
    text = configuration(("secretbox", "one"), ("identity", ""))
    async with serving(endpoint, path, text) as api:
        path.write_text(configuration(("aesgcm", "two"), ("secretbox", "one"), ("identity", "")))
        assert api.encryption.reload()
        code, found = await api.ask("GET", f"{SECRETS}/s")
        assert code == 200
        assert (await api.ask("PUT", f"{SECRETS}/s", found))[0] == 200
        raw = await stored(client, "/registry/secrets/default/s")
        assert raw.startswith(b"k8s:enc:aesgcm:v1:two:")
        revision = (await client.get("/registry/secrets/default/s")).kvs[0].mod_revision
        code, found = await api.ask("GET", f"{SECRETS}/s")
        assert (await api.ask("PUT", f"{SECRETS}/s", found))[0] == 200
        # Nothing is stale any more: nothing is written.
        assert (await client.get("/registry/secrets/default/s")).kvs[0].mod_revision == revision


async def _unknown_key(client: Client, endpoint: str, path: Path) -> None:
    """A value that this server cannot read makes trouble for its kind, and for no other."""
    text = configuration(("aesgcm", "two"), ("identity", ""))
    async with serving(endpoint, path, text) as api:
        assert (await api.ask("GET", f"{SECRETS}/s?resourceVersion=0"))[0] == 200
        sealed = (await stored(client, "/registry/secrets/default/s"))[
            len("k8s:enc:aesgcm:v1:two:") :
        ]
        foreign = b"k8s:enc:aesgcm:v1:three:" + sealed
        await client.put("/registry/secrets/default/foreign", foreign)
        code, status = await api.ask("GET", f"{SECRETS}/foreign")
        assert code == 500
        assert status["message"] == (
            'Internal error occurred: unable to transform key "/registry/secrets/default/foreign": '
            "no matching prefix found"
        )
        async with asyncio.timeout(DEADLINE):
            while (await api.ask("GET", SECRETS))[0] != 500:
                await asyncio.sleep(0.02)
        assert (await api.ask("POST", CONFIG_MAPS, {"metadata": {"name": "d"}}))[0] == 201
        code, listed = await api.ask("GET", CONFIG_MAPS)
        assert {one["metadata"]["name"] for one in listed["items"]} >= {"c", "d"}
        await client.delete("/registry/secrets/default/foreign")
        async with asyncio.timeout(DEADLINE):
            while (await api.ask("GET", SECRETS))[0] != 200:
                await asyncio.sleep(0.02)
