"""Identity, privileges and limits of a container."""

from typing import Any

import pytest

from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.containers.security import (
    check_not_root,
    lacking,
    limits_of,
    oom_score,
    privileges_of,
)
from controlplane.kubelet.runtimes.interface import Feature, Limits, Privileges


def pod(shared: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {"securityContext": shared or {}, "containers": [{"name": "c", **container}]},
    }


def test_the_containers_word_wins() -> None:
    shared = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4, 3]}
    own = {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
    }
    subject = pod(shared, securityContext=own)
    assert privileges_of(subject, subject["spec"]["containers"][0]) == Privileges(
        user=0,
        group=2,
        groups=(4, 3),
        add_capabilities=("NET_ADMIN",),
        drop_capabilities=("ALL",),
        no_new_privileges=True,
        read_only_root=True,
    )


@pytest.mark.parametrize(
    ("shared", "own", "image_user", "problem"),
    [
        ({"runAsNonRoot": True}, {}, "", "image will run as root"),
        ({"runAsNonRoot": True}, {}, "root:root", "image will run as root"),
        ({"runAsNonRoot": True}, {}, "app", r"non-numeric user \(app\)"),
        ({"runAsNonRoot": True, "runAsUser": 0}, {}, "1000", "breaks non-root policy"),
        ({"runAsNonRoot": True}, {}, "1000", ""),
        ({"runAsNonRoot": True}, {"runAsUser": 5}, "", ""),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, "", ""),
    ],
)
def test_not_root(
    shared: dict[str, Any], own: dict[str, Any], image_user: str, problem: str
) -> None:
    subject = pod(shared, securityContext=own)
    container = subject["spec"]["containers"][0]
    if not problem:
        check_not_root(subject, container, image_user)
        return
    with pytest.raises(ConfigError, match=problem):
        check_not_root(subject, container, image_user)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Limits(0, 0, 2, 99)),
        ({"limits": {"cpu": "1500m", "memory": "64Mi"}}, Limits(64 * 1024**2, 1500, 1536, 99)),
        ({"requests": {"cpu": "250m"}, "limits": {"cpu": "2"}}, Limits(0, 2000, 256, 99)),
        ({"requests": {"cpu": "1m"}}, Limits(0, 0, 2, 99)),
    ],
)
def test_limits(resources: dict[str, Any], expected: Limits) -> None:
    assert limits_of({"name": "c", "resources": resources}, 99) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (pod(), []),
        (pod({"fsGroup": 1}), [Feature.USERS]),
        (
            pod(resources={"limits": {"cpu": 1}}, volumeMounts=[{}]),
            [Feature.MOUNTS, Feature.LIMITS],
        ),
    ],
)
def test_what_a_runtime_lacks(subject: dict[str, Any], expected: list[Feature]) -> None:
    assert lacking(subject, frozenset()) == expected
    assert lacking(subject, frozenset(Feature)) == []


@pytest.mark.parametrize(
    ("resources", "spec", "score"),
    [
        ({}, {}, 1000),
        ({"requests": {"memory": "1Gi"}}, {}, 750),
        ({"requests": {"cpu": "1"}}, {}, 999),
        ({"requests": {"memory": "9Gi"}}, {}, 3),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, {}, -997),
        ({}, {"priority": 2_000_000_000}, -997),
    ],
    ids=["best_effort", "burstable", "no_memory", "too_much", "guaranteed", "critical"],
)
def test_who_goes_first_when_memory_runs_out(resources: Any, spec: Any, score: int) -> None:
    container = {"name": "c", "resources": resources}
    assert oom_score({"spec": {"containers": [container], **spec}}, container, "4Gi") == score
