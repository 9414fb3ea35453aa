"""Which pods a node refuses, by upstream's reasons."""

from typing import Any

import pytest

from controlplane.kubelet.pods.admission import Rejection, Room, admit

NODE = {
    "metadata": {"name": "n1", "labels": {"disk": "ssd", "kubernetes.io/os": "linux"}},
    "spec": {"taints": [{"key": "t", "effect": "NoExecute"}, {"key": "s", "effect": "NoSchedule"}]},
}
ALLOCATABLE = {"cpu": "2", "memory": "1Gi", "pods": "3", "ephemeral-storage": "10Gi"}
TOLERANT = [{"operator": "Exists"}]


def pod(requests: dict[str, str] | None = None, ports: Any = (), **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": requests or {}}, "ports": list(ports)}
    spec = {"tolerations": TOLERANT, "nodeName": "n1", "containers": [container], **spec}
    return {"metadata": {"name": "p", "uid": "u"}, "spec": spec}


def sysctl(name: str, **spec: Any) -> dict[str, Any]:
    return pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)


def port(number: int, address: str = "", protocol: str = "TCP") -> dict[str, Any]:
    return {"containerPort": 80, "hostPort": number, "hostIP": address, "protocol": protocol}


def lacks(name: str, *numbers: int) -> tuple[str, str]:
    asked, used, have = numbers
    return f"OutOf{name}", (
        f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {have}"
    )


def failed(name: str, words: str) -> tuple[str, str]:
    return name, f"Predicate {name} failed: {words}"


AFFINITY = failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
PORTS = failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
TAINTS = failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
NAME = failed("NodeName", "node(s) didn't match the requested node name")
FORBIDDEN = ("SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted')
SHARED = (
    "SysctlForbidden",
    'forbidden sysctl: "net.ipv4.tcp_rmem" not allowed with host net enabled',
)
GPU = {"example.com/gpu": "4"}
HERE = port(80, "127.0.0.1")
THERE = port(80, "127.0.0.2")
SIDECAR = {"name": "s", "restartPolicy": "Always", "ports": [port(80)]}


@pytest.mark.parametrize(
    ("wanted", "others", "expected"),
    [
        pytest.param(pod({"cpu": "2", "memory": "1Gi"}), [], None, id="all_there_is"),
        pytest.param(
            pod({"cpu": "1500m"}), [pod({"cpu": "1"})], lacks("cpu", 1500, 1000, 2000), id="cpu"
        ),
        pytest.param(
            pod({"memory": "2Gi"}), [], lacks("memory", 2 << 30, 0, 1 << 30), id="memory"
        ),
        pytest.param(
            pod({"cpu": "1"}, overhead={"cpu": "1500m"}),
            [], lacks("cpu", 2500, 0, 2000), id="overhead_counts",
        ),
        pytest.param(pod(), [pod()] * 3, lacks("pods", 1, 3, 3), id="too_many"),
        pytest.param(pod(GPU), [], None, id="what_the_node_does_not_count"),
        pytest.param(pod(nodeSelector={"disk": "ssd"}), [], None, id="selected"),
        pytest.param(pod(nodeSelector={"disk": "hdd"}), [], AFFINITY, id="not_selected"),
        pytest.param(pod(nodeName="n2"), [], NAME, id="another_node"),
        pytest.param(pod(tolerations=[]), [], TAINTS, id="taint_that_evicts"),
        pytest.param(
            pod(tolerations=[{"key": "t", "operator": "Exists"}]), [], None, id="other_taints_do_not"
        ),
        pytest.param(pod(ports=[port(80)]), [pod(ports=[port(80)])], PORTS, id="port_taken"),
        pytest.param(pod(ports=[port(80)]), [pod(ports=[port(81)])], None, id="another_port"),
        pytest.param(
            pod(ports=[port(80)]), [pod(ports=[port(80, protocol="UDP")])], None, id="another_protocol"
        ),
        pytest.param(pod(ports=[HERE]), [pod(ports=[THERE])], None, id="another_address"),
        pytest.param(pod(ports=[HERE]), [pod(ports=[port(80)])], PORTS, id="every_address"),
        pytest.param(
            pod(ports=[port(80)]), [pod(initContainers=[SIDECAR])], PORTS, id="port_of_a_sidecar"
        ),
        pytest.param(sysctl("kernel.shm_rmid_forced"), [], None, id="safe_sysctl"),
        pytest.param(sysctl("kernel/shm_rmid_forced"), [], None, id="written_with_slashes"),
        pytest.param(sysctl("kernel.msgmax"), [], FORBIDDEN, id="unsafe_sysctl"),
        pytest.param(sysctl("net.ipv4.tcp_rmem", hostNetwork=True), [], SHARED, id="of_the_node"),
        pytest.param(
            pod(os={"name": "windows"}), [],
            ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
            id="another_system",
        ),
    ],
)  # fmt: skip
def test_admission(
    wanted: dict[str, Any], others: list[dict[str, Any]], expected: tuple[str, str] | None
) -> None:
    said = admit(wanted, Room(NODE, ALLOCATABLE, others))
    assert said == (None if expected is None else Rejection(*expected))


def test_unsafe_sysctls_can_be_allowed_by_pattern() -> None:
    room = Room(NODE, ALLOCATABLE, [], unsafe_sysctls=("kernel.msg*",))
    assert admit(sysctl("kernel.msgmax"), room) is None
    assert admit(sysctl("kernel.sem"), room) is not None


def test_a_node_that_is_not_known_yet_takes_the_schedulers_word() -> None:
    room = Room(None, ALLOCATABLE, [])
    assert admit(pod(nodeSelector={"disk": "hdd"}, tolerations=[]), room) is None
