"""How a container waits for its image, and what is said of it."""

import asyncio
import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controlplane.kubelet.images.image import Image
from controlplane.kubelet.images.registry.auth import Credential
from controlplane.kubelet.images.registry.client import RegistryError
from controlplane.kubelet.pods.images import PodImages
from controlplane.kubelet.pods.node import Node
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor

SECRET = {
    "type": "kubernetes.io/dockerconfigjson",
    "data": {
        ".dockerconfigjson": base64.b64encode(
            json.dumps({"auths": {"r.io": {"username": "jane", "password": "x"}}}).encode()
        ).decode()
    },
}


class Stage:
    """Pulls as the test says, and what the pod is told."""

    def __init__(self) -> None:
        self.here: dict[str, Image] = {}
        self.problem = ""
        self.asked: list[tuple[str, list[Credential]]] = []
        self.said: list[str] = []
        self.woken = asyncio.Event()
        self.supervisor = Supervisor("pod")
        node = SimpleNamespace(
            catalog=SimpleNamespace(find=self.here.get, names=["busybox"]),
            puller=self,
            references=self,
            clock=ManualClock(),
        )
        self.images = PodImages(
            cast("Node", node),
            lambda kind, reason, text: self.said.append(reason),
            self.supervisor,
            self.woken.set,
            {},
        )

    async def pull(self, reference: str, credentials: Sequence[Credential]) -> None:
        self.asked.append((reference, list(credentials)))
        if self.problem:
            raise RegistryError(self.problem)
        self.here[reference] = Image(reference, rootfs="/x", is_pulled=True)

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return SECRET if name == "good" else None

    def find(self, policy: str = "IfNotPresent", secrets: Sequence[str] = ()) -> Image | None:
        container = {"name": "c", "image": "r.io/a:1", "imagePullPolicy": policy}
        spec = {
            "containers": [container],
            "imagePullSecrets": [{"name": name} for name in secrets],
        }
        return self.images.find({"metadata": {"namespace": "ns"}, "spec": spec}, container)

    async def pulled(self) -> None:
        await asyncio.wait_for(self.woken.wait(), 60)
        self.woken.clear()


@pytest.fixture
async def stage() -> Any:
    made = Stage()
    yield made
    await made.supervisor.stop()


async def test_an_image_is_pulled_beside_the_worker(stage: Stage) -> None:
    for _ in range(2):
        assert stage.find(secrets=["good", "missing"]) is None
        assert stage.images.blocked["c"].reason == "ContainerCreating"
    await stage.pulled()
    assert "c" not in stage.images.blocked
    assert stage.find() is not None
    assert stage.said == ["Pulling", "FailedToRetrieveImagePullSecret", "Pulled"]
    assert stage.asked == [("r.io/a:1", [Credential("r.io", "jane", "x")])]
    assert stage.find() is not None
    assert len(stage.asked) == 1, "it is here now"


async def test_always_asks_again_for_what_was_pulled_alone(stage: Stage) -> None:
    stage.here["r.io/a:1"] = Image("r.io/a:1", rootfs="/x", is_pulled=True)
    assert stage.find("Always") is None
    await stage.pulled()
    assert stage.find("Always") is not None
    stage.here["r.io/a:1"] = Image("r.io/a:1", rootfs="/x")
    assert stage.find("Always") is not None, "loaded by hand"
    assert len(stage.asked) == 1


async def test_failures_wait_longer_and_longer(stage: Stage) -> None:
    stage.problem = "no route"
    seen = []
    for _ in range(3):
        assert stage.find() is None
        await stage.pulled()
        assert stage.find() is None
        blocked = stage.images.blocked["c"]
        seen.append((blocked.reason, blocked.until - stage.images.node.clock.time()))
    assert seen == [("ErrImagePull", 10.0), ("ImagePullBackOff", 20.0), ("ImagePullBackOff", 40.0)]
    assert blocked.message == 'Back-off pulling image "r.io/a:1": ErrImagePull: no route'
    assert stage.said[:3] == ["Pulling", "Failed", "Failed"]
    assert stage.find("Never") is None
    assert stage.images.blocked["c"].reason == "ErrImageNeverPull"
