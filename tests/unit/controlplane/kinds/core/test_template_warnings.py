"""Everything that holds a template of pods warns of it, as upstream: when it is new, and when a change is counted."""

from typing import Any

import pytest

from controlplane.kinds.catalog import SCHEME

WORDS = 'deprecated since v1.14; use "kubernetes.io/os" instead'
KINDS = {
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("", "ReplicationController"): ("spec", "template"),
    ("", "PodTemplate"): ("template",),
}


def holder(path: tuple[str, ...], label: str, generation: int = 1) -> dict[str, Any]:
    value: Any = {"spec": {"nodeSelector": {label: "linux"}}}
    for key in reversed(path):
        value = {key: value}
    return {"metadata": {"name": "a", "generation": generation}, **value}


@pytest.mark.parametrize(("group", "name"), KINDS)
def test_templates_are_warned_of(group: str, name: str) -> None:
    path = KINDS[group, name]
    row = next(row for row in SCHEME if (row.group, row.kind) == (group, name))
    warnings = SCHEME.kind_of(row).warnings
    warned = [f"{'.'.join(path)}.spec.nodeSelector[beta.kubernetes.io/os]: {WORDS}"]
    old, same = (holder(path, "beta.kubernetes.io/os") for _ in range(2))
    assert warnings(old, None) == warned
    assert warnings(same, old) == []
    assert warnings(holder(path, "kubernetes.io/os"), None) == []
    before = holder(path, "beta.kubernetes.io/os" if name == "ReplicationController" else "x")
    assert warnings(holder(path, "beta.kubernetes.io/os", 2), before) == warned


@pytest.mark.parametrize(
    "name", ["Deployment", "ReplicaSet", "Job", "CronJob", "ReplicationController"]
)
def test_a_name_that_is_no_label_is_warned_of_once(name: str) -> None:
    row = SCHEME.of(name)
    obj = {"metadata": {"name": "a.b", "generation": 1}, "spec": {}}
    found = SCHEME.kind_of(row).warnings(obj, None)
    assert len(found) == 1
    assert found[0].startswith("metadata.name: this is used in Pod names")
    assert SCHEME.kind_of(row).warnings(obj, obj) == []
