"""Logs as text, and over a WebSocket for those who ask for one."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.apiserver.http.messages import StreamResponse, Upgrade
from controlplane.apiserver.subresources import log
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS

POD = {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c"}]}}
CHUNKS = [b"one\n", b"two\n"]


class Rows:
    """A registry of one object."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.obj = obj

    async def get(self, namespace: str, name: str) -> dict[str, Any]:
        return self.obj


class Kubelets:
    """Nodes that all log the same."""

    async def container_logs(self, *asked: Any) -> AsyncIterator[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in CHUNKS:
                yield chunk

        return chunks()


class Socket:
    """Keeps what is sent."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.sent: list[bytes | str] = []

    async def send(self, message: bytes | str) -> None:
        self.sent.append(message)

    async def receive(self) -> None:
        return None


async def answer(**headers: str) -> StreamResponse | Upgrade:
    parts: Any = SimpleNamespace(
        registries={PODS: Rows(POD), NODES: Rows({})}, kubelet=Kubelets(), stopping=asyncio.Event()
    )
    request: Any = SimpleNamespace(
        info=SimpleNamespace(namespace="d", name="p"),
        query={},
        headers=headers,
        option=lambda name: "",
    )
    return await log.handle(parts, request, PODS)


async def test_as_text() -> None:
    got = await answer()
    assert isinstance(got, StreamResponse)
    assert b"".join([chunk async for chunk in got.chunks]) == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("offered", "protocol", "expected"),
    [
        ([], "", CHUNKS),
        (["binary.k8s.io"], "binary.k8s.io", CHUNKS),
        (["base64.binary.k8s.io"], "base64.binary.k8s.io", ["b25lCg==", "dHdvCg=="]),
    ],
)
async def test_over_a_socket(offered: list[str], protocol: str, expected: list[Any]) -> None:
    got = await answer(upgrade="WebSocket")
    assert isinstance(got, Upgrade)
    assert got.choose(offered) == protocol
    socket = Socket(protocol)
    await got.handler(socket)
    assert socket.sent == expected
