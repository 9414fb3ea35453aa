"""Fields and resources as text."""

from typing import Any

import pytest

from controlplane.kubelet.containers.downward import field_value, resource_value
from controlplane.kubelet.containers.references import ConfigError

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}},
    "spec": {"containers": [], "nodeName": "n1"},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "x"),
        ("metadata.labels", 'app="x"'),
        ("status.podIP", "127.1.2.3"),
        ("spec.nodeName", "n1"),
    ],
)
def test_field_value(path: str, expected: str) -> None:
    assert field_value(POD, path, {"POD_IP": "127.1.2.3"}) == expected


def test_labels_are_quoted_as_go_does() -> None:
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": {"b": 'x"y\n', "a": "1"}}}
    assert field_value(pod, "metadata.annotations", {}) == 'a="1"\nb="x\\"y\\n"'


def test_fields_there_are_not() -> None:
    with pytest.raises(ConfigError, match=r"unsupported fieldPath: spec\.x"):
        field_value(POD, "spec.x", {})


RESOURCES = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1500m"}}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.memory", "divisor": "0"}, str(64 * 1024**2)),
        ({"resource": "limits.memory", "divisor": "1Gi"}, "4"),
        ({"resource": "requests.cpu", "containerName": "other"}, "0"),
    ],
)
def test_resources_round_up_and_fall_back_to_the_node(
    reference: dict[str, Any], expected: str
) -> None:
    pod = {"spec": {"containers": [{"name": "c", "resources": RESOURCES}, {"name": "other"}]}}
    facts = {"allocatable.memory": "4Gi", "allocatable.cpu": "8"}
    assert resource_value(pod, "c", reference, facts) == expected


def test_a_container_there_is_not() -> None:
    reference = {"resource": "limits.cpu", "containerName": "none"}
    with pytest.raises(ConfigError, match="container none not found"):
        resource_value({"spec": {"containers": []}}, "", reference, {})
