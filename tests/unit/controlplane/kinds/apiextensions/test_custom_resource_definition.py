"""What a definition is given when it is made, and when it may not be."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.kinds.apiextensions.custom_resource_definition import FINALIZER, KIND


def definition(**spec: Any) -> Obj:
    return {
        "metadata": {"name": "tabs.demo.example.com"},
        "spec": {
            "group": "demo.example.com",
            "scope": "Namespaced",
            "names": {"plural": "tabs", "kind": "Tab"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
            **spec,
        },
    }


def test_names_and_conversion_are_completed() -> None:
    crd = definition()
    KIND.default(crd)
    assert crd["spec"]["names"] == {
        "plural": "tabs",
        "kind": "Tab",
        "singular": "tab",
        "listKind": "TabList",
    }
    assert crd["spec"]["conversion"] == {"strategy": "None"}
    assert KIND.validate(crd) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"group": "other.example.com"}, "metadata.name"),
        ({"group": ""}, "spec.group"),
        ({"scope": "Galaxy"}, "spec.scope"),
        ({"versions": []}, "spec.versions"),
        ({"names": {"kind": "Tab"}}, "spec.names.plural"),
        (
            {"versions": [{"name": "v1", "storage": True}]},
            "spec.versions[0].schema.openAPIV3Schema",
        ),
    ],
)
def test_refusals(spec: Any, field: str) -> None:
    crd = definition(**spec)
    KIND.default(crd)
    assert field in [cause.field for cause in KIND.validate(crd)]


def test_each_storage_version_is_remembered() -> None:
    strategy = KIND.strategy(KIND.resource)
    crd = definition()
    strategy.prepare_for_create(crd)
    assert crd["status"]["storedVersions"] == ["v1"]
    moved = definition()
    moved["spec"]["versions"][0]["name"] = "v2"
    strategy.prepare_for_update(moved, crd)
    assert moved["status"]["storedVersions"] == ["v1", "v2"]


def test_a_delete_waits_for_the_objects() -> None:
    strategy = KIND.strategy(KIND.resource)
    crd = definition()
    assert strategy.holds_deletion(crd)
    crd["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    strategy.mark_deleting(crd)
    assert crd["metadata"]["finalizers"] == [FINALIZER]
    assert not strategy.holds_deletion(crd)
