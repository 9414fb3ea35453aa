"""When a pod has used more of the node's disk than it may."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.pods.eviction import Usage, excess, is_critical, is_limited, places

MI = 1 << 20


def pod(limit: str | None = None, *volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    limits = {} if limit is None else {"ephemeral-storage": limit}
    containers = [{"name": "c", "resources": {"limits": limits}}, {"name": "d"}]
    return {
        "metadata": {"uid": "u"},
        "spec": {"containers": containers, "volumes": volumes, **spec},
    }


CACHE = {"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}
MEMORY = {"name": "mem", "emptyDir": {"medium": "Memory"}}
FREE = {"name": "free", "emptyDir": {}}
OF_VOLUME = 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '
OF_POD = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "


@pytest.mark.parametrize(
    ("one", "usage", "expected"),
    [
        (pod(None, CACHE), Usage({"cache": MI}), None),
        (pod(None, CACHE), Usage({"cache": MI + 1}), OF_VOLUME),
        (pod(None, FREE), Usage({"free": 1 << 40}, {"c": 1 << 40}), None),
        (pod("2Mi", FREE), Usage({"free": MI}, {"c": MI}), None),
        (pod("2Mi", FREE), Usage({"free": 2 * MI}, {"c": MI}), OF_POD),
        (pod("2Mi", MEMORY), Usage({"mem": 9 * MI}, {"c": MI}), None),
    ],
    ids=["just_full", "volume", "no_limits", "pod_within", "pod", "memory_is_no_disk"],
)
def test_excess(one: dict[str, Any], usage: Usage, expected: str | None) -> None:
    assert excess(one, usage) == expected


def test_a_container_beyond_its_own_limit() -> None:
    one = pod("2Mi")
    one["spec"]["containers"][1]["resources"] = {"limits": {"ephemeral-storage": "9Mi"}}
    message = 'Container c exceeded its local ephemeral storage limit "2Mi". '
    assert excess(one, Usage({}, {"c": 3 * MI, "d": MI})) == message


def test_what_is_measured() -> None:
    assert [is_limited(one) for one in (pod(), pod("1Gi"), pod(None, CACHE), pod(None, FREE))] == [
        False, True, True, False,
    ]  # fmt: skip
    volumes, containers = places(pod(None, CACHE), Path("/p/u"))
    assert volumes == {"cache": ["/p/u/volumes/kubernetes.io~empty-dir/cache"]}
    assert containers["c"] == ["/p/u/containers/c", "/p/u/logs/c"]
    assert is_critical(pod(priority=2_000_000_000))
    assert not is_critical(pod(priority=1))
