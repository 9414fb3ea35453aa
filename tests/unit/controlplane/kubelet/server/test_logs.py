"""What is said instead of the logs of a container that has not started."""

from typing import Any

import pytest

from controlplane.kubelet.server.logs import waiting_text


def pod(field: str, reason: str) -> dict[str, Any]:
    """A pod of one container that waits."""
    row = {"name": "c", "state": {"waiting": {"reason": reason}}}
    return {"metadata": {"name": "p"}, "status": {field: [{"name": "other"}, row]}}


@pytest.mark.parametrize(
    ("field", "reason", "why"),
    [
        ("containerStatuses", "ErrImagePull", ": image can't be pulled"),
        ("containerStatuses", "ImagePullBackOff", ": trying and failing to pull image"),
        ("containerStatuses", "ContainerCreating", ": ContainerCreating"),
        ("initContainerStatuses", "CreateContainerConfigError", ": CreateContainerConfigError"),
        ("containerStatuses", "", ""),
    ],
)
def test_the_refusal_says_why_the_container_waits(field: str, reason: str, why: str) -> None:
    text = waiting_text(pod(field, reason), "c")
    assert text == 'container "c" in pod "p" is waiting to start' + why


def test_a_pod_without_status_has_no_reason() -> None:
    bare = {"metadata": {"name": "p"}}
    assert waiting_text(bare, "c") == 'container "c" in pod "p" is waiting to start'
