"""Variables of a container."""

from typing import Any

import pytest

from controlplane.kubelet.containers.environment import image_env, pod_env
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
            {"name": "A_SERVICE_PORT", "value": "mine"},
            {"name": "U", "value": "$(A_SERVICE_HOST) $(A_SERVICE_PORT) $(PATH)"},
        ],
    }
    services = {"A_SERVICE_HOST": "10.96.0.7", "A_SERVICE_PORT": "80"}
    env = await pod_env(POD, container, {}, services, fetch)
    assert env == {
        "P_k": "v",
        "S": "hi",
        "T": "hi!",
        "U": "10.96.0.7 mine $(PATH)",
        "A_SERVICE_HOST": "10.96.0.7",
        "A_SERVICE_PORT": "mine",
    }
    container["env"] = [
        {"name": "S", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "none"}}}
    ]
    with pytest.raises(ConfigError, match="couldn't find key none"):
        await pod_env(POD, container, {}, {}, fetch)


def test_programs_of_the_machine_are_told_more_than_images() -> None:
    container = {"name": "c", "ports": [{"containerPort": 8080}]}
    facts = {"POD_IP": "127.1.2.3", "allocatable.cpu": "2"}
    unpacked = Image("i", rootfs="/x", env={"PATH": "/bin"})
    assert image_env(POD, container, unpacked, facts) == {"HOSTNAME": "p", "PATH": "/bin"}
    assert image_env(POD, container, Image("i", env={"PORT": "1"}), facts) == {
        "HOSTNAME": "p",
        "POD_NAME": "p",
        "POD_NAMESPACE": "ns",
        "POD_IP": "127.1.2.3",
        "PORT": "8080",
    }
