"""Variables of a container."""

from typing import Any

import pytest

from controlplane.kubelet.containers.environment import container_env
from controlplane.kubelet.containers.references import ConfigError, Token, TokenRequest
from controlplane.kubelet.images.image import Image

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}},
    "spec": {"containers": [], "nodeName": "n1"},
}


class Objects:
    """What the pod refers to."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return {"ConfigMap": {"data": {"k": "v"}}, "Secret": {"data": {"s": "aGk="}}}[kind]

    async def token(self, request: TokenRequest) -> Token | None:
        raise AssertionError("nobody asked for one")


async def test_env_from_objects() -> None:
    fetch = Objects()

    container = {
        "name": "c",
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}],
        "env": [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "x", "key": "s"}}},
            {"name": "T", "value": "$(S)!"},
        ],
    }
    env = await container_env(POD, container, Image("i"), {"POD_IP": "127.1.2.3"}, fetch)
    assert (env["P_k"], env["S"], env["T"], env["POD_IP"]) == ("v", "hi", "hi!", "127.1.2.3")
    container["env"] = [
        {"name": "S", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "none"}}}
    ]
    with pytest.raises(ConfigError, match="couldn't find key none"):
        await container_env(POD, container, Image("i"), {}, fetch)
