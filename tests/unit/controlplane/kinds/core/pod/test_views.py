"""What is read of a pod."""

from typing import Any

import pytest

from controlplane.kinds.core.pod import views

FULL = {"cpu": "1", "memory": "1Gi"}


def _spec(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "containers": [{"name": str(i), "resources": r} for i, r in enumerate(resources)],
        **more,
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(_spec({}), "BestEffort", id="nothing"),
        pytest.param(_spec({"requests": {"cpu": "1"}}), "Burstable", id="request"),
        pytest.param(_spec({"limits": FULL}), "Guaranteed", id="limits"),
        pytest.param(_spec({"limits": FULL, "requests": FULL}), "Guaranteed", id="both"),
        pytest.param(_spec({"limits": {"cpu": "1"}}), "Burstable", id="cpu-limit-only"),
        pytest.param(
            _spec({"limits": FULL, "requests": {**FULL, "cpu": "500m"}}),
            "Burstable",
            id="less-asked",
        ),
        pytest.param(
            _spec({"requests": {"ephemeral-storage": "1Gi"}}), "BestEffort", id="storage-counts-not"
        ),
        pytest.param(_spec({"requests": {"cpu": "0"}}), "BestEffort", id="zero-counts-not"),
        pytest.param(_spec({"limits": FULL}, {}), "Burstable", id="one-of-two"),
        pytest.param(_spec({}, resources={"limits": FULL}), "Guaranteed", id="of-the-whole-pod"),
        pytest.param(
            _spec({"limits": FULL}, initContainers=[{"name": "i"}]), "Burstable", id="init-counts"
        ),
    ],
)
def test_qos_class(spec: dict[str, Any], expected: str) -> None:
    assert views.qos_class(spec) == expected


@pytest.mark.parametrize(
    ("phase", "ended"), [("Succeeded", True), ("Failed", True), ("Running", False), ("", False)]
)
def test_ended(phase: str, ended: bool) -> None:
    assert views.is_ended({"status": {"phase": phase}}) is ended


def test_ready() -> None:
    assert views.is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert not views.is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert not views.is_ready({})
