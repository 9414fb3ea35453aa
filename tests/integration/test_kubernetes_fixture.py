"""The fixture of a cluster in the test's process, as its users meet it: from other threads, by any client."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.testing.hollow import Life
from controlplane.testing.kubernetes import Kubernetes

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def kubectl(program: Callable[[str], str]) -> Callable[..., str]:
    path = program("kubectl")

    def run(cluster: Kubernetes, *words: str, body: Any = None) -> str:
        argv = [path, "--kubeconfig", str(cluster.kubeconfig), *words]
        text = None if body is None else json.dumps(body)
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def job(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": "work:1"}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def test_kubectl_works(quorate_kubernetes: Kubernetes, kubectl: Callable[..., str]) -> None:
    kubectl(
        quorate_kubernetes, "create", "deployment", "web", "--image=some/image:1", "--replicas=2"
    )
    out = kubectl(quorate_kubernetes, "rollout", "status", "deployment/web", "--timeout=30s")
    assert "successfully rolled out" in out
    assert len(quorate_kubernetes.objects("po")) == 2
    assert quorate_kubernetes.object("deployments", "web") is not None


def test_the_next_test_finds_nothing_of_it(quorate_kubernetes: Kubernetes) -> None:
    assert quorate_kubernetes.objects("deployments") == []
    quorate_kubernetes.run_until(lambda: quorate_kubernetes.objects("pods") == [])


def test_a_block_is_undone(quorate_kubernetes: Kubernetes, kubectl: Callable[..., str]) -> None:
    with quorate_kubernetes.checkpoint():
        kubectl(quorate_kubernetes, "create", "configmap", "a")
        assert quorate_kubernetes.object("configmaps", "a") is not None
    assert quorate_kubernetes.object("configmaps", "a") is None
    with pytest.raises(KeyError, match="frobs"):
        quorate_kubernetes.objects("frobs")


@pytest.mark.quorate_kubernetes(nodes=2, virtual_time=True)
def test_time_jumps(quorate_kubernetes: Kubernetes, kubectl: Callable[..., str]) -> None:
    quorate_kubernetes.set_lives(Life("work:*", seconds=3600))
    kubectl(quorate_kubernetes, "apply", "-f", "-", body=job("hour"))

    def is_complete() -> bool:
        found = quorate_kubernetes.object("jobs", "hour") or {}
        rows = (found.get("status") or {}).get("conditions") or ()
        return any(row["type"] == "Complete" and row["status"] == "True" for row in rows)

    assert 3590 < quorate_kubernetes.run_until(is_complete, seconds=4000) < 3700
    quorate_kubernetes.stop_node("node-1")
    quorate_kubernetes.advance(60)
    node = quorate_kubernetes.object("nodes", "node-1") or {}
    conditions = {row["type"]: row["status"] for row in node["status"]["conditions"]}
    assert conditions["Ready"] == "Unknown"
    with pytest.raises(KeyError, match="no node x"):
        quorate_kubernetes.stop_node("x")
