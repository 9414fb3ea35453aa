"""Patches and server-side apply, by the examples of the Kubernetes documentation."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import APIError, ApplyConflict, Invalid
from controlplane.api.patch import apply as ssa
from controlplane.api.patch import json_patch, merge_patch, strategic
from controlplane.api.patch.field_set import from_fields_v1, to_fields_v1
from controlplane.api.schema.builtin import schema_for

Object = dict[str, Any]
POD = schema_for("v1", "Pod")
CONFIG_MAP = schema_for("v1", "ConfigMap")
DEPLOYMENT = schema_for("apps/v1", "Deployment")


@pytest.mark.parametrize(
    ("live", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_examples_of_rfc_7386(live: Object, patch: Object, result: Object) -> None:
    before = copy.deepcopy(live)
    assert merge_patch.apply(live, patch) == result
    assert live == before


def test_failed_json_patch_test_is_invalid() -> None:
    with pytest.raises(Invalid):
        json_patch.apply({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])


def test_unknown_json_patch_operation_cannot_be_applied() -> None:
    with pytest.raises(Invalid):
        json_patch.apply({"a": 1}, [{"op": "jump", "path": "/a"}])


def _spec(*containers: Object, **more: Any) -> Object:
    return {"spec": {"containers": list(containers), **more}}


@pytest.mark.parametrize(
    ("live", "patch", "result"),
    [
        pytest.param(
            _spec({"name": "a", "image": "1"}),
            _spec({"name": "b", "image": "2"}),
            _spec({"name": "b", "image": "2"}, {"name": "a", "image": "1"}),
            id="add-by-merge-key",
        ),
        pytest.param(
            _spec({"name": "a", "image": "1", "tty": True}),
            _spec({"name": "a", "image": "2"}),
            _spec({"name": "a", "image": "2", "tty": True}),
            id="merge-by-merge-key",
        ),
        pytest.param(
            _spec({"name": "a"}, {"name": "b"}),
            _spec({"name": "a", "$patch": "delete"}),
            _spec({"name": "b"}),
            id="delete-element",
        ),
        pytest.param(
            _spec({"name": "a"}, {"name": "b"}),
            _spec({"name": "c"}, {"$patch": "replace"}),
            _spec({"name": "c"}),
            id="replace-list",
        ),
        pytest.param(
            _spec({"name": "a"}, {"name": "b"}, {"name": "c"}),
            {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}},
            _spec({"name": "b"}, {"name": "c"}, {"name": "a"}),
            id="set-order",
        ),
        pytest.param(
            {"metadata": {"finalizers": ["a/a", "b/b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["c/c"]}},
            {"metadata": {"finalizers": ["c/c", "b/b"]}},
            id="primitive-list",
        ),
        pytest.param(
            {"spec": {"tolerations": [{"key": "a"}]}},
            {"spec": {"tolerations": [{"key": "b"}]}},
            {"spec": {"tolerations": [{"key": "b"}]}},
            id="atomic-list",
        ),
        pytest.param(
            {"spec": {"nodeSelector": {"a": "b"}}},
            {"spec": {"nodeSelector": {"$patch": "replace", "c": "d"}}},
            {"spec": {"nodeSelector": {"c": "d"}}},
            id="replace-map",
        ),
    ],
)
def test_strategic_merge(live: Object, patch: Object, result: Object) -> None:
    before = copy.deepcopy(live)
    assert strategic.apply(live, patch, POD) == result
    assert live == before


def test_retain_keys_switches_a_union() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.apply(live, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_element_without_merge_key_is_refused() -> None:
    with pytest.raises(APIError, match="declared merge key: name"):
        strategic.apply(_spec({"name": "a"}), _spec({"image": "x"}), POD)


def _config(**data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "d"},
        "data": data,
    }


def _apply(live: Object | None, config: Object, manager: str, *, force: bool = False) -> Object:
    return ssa.apply(
        live,
        config,
        schema_for(config["apiVersion"], config["kind"]),
        manager=manager,
        now="2020-01-01T00:00:00Z",
        force=force,
    )


def test_apply_creates_and_owns() -> None:
    obj = _apply(None, _config(a="1"), "m")
    (entry,) = obj["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("m", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}


def test_applying_the_same_again_changes_nothing() -> None:
    obj = _apply(None, _config(a="1"), "m")
    again = ssa.apply(obj, _config(a="1"), CONFIG_MAP, manager="m", now="2021-01-01T00:00:00Z")
    assert again == obj


def test_dropped_field_is_removed_when_owned_alone() -> None:
    obj = _apply(_apply(None, _config(a="1", b="2"), "m"), _config(a="1"), "m")
    assert obj["data"] == {"a": "1"}


def test_dropped_field_stays_when_another_owns_it() -> None:
    obj = _apply(_apply(None, _config(a="1", b="2"), "m"), _config(b="2"), "n")
    obj = _apply(obj, _config(a="1"), "m")
    assert obj["data"] == {"a": "1", "b": "2"}


def test_change_of_anothers_field_is_a_conflict_until_forced() -> None:
    obj = _apply(None, _config(a="1"), "m")
    with pytest.raises(ApplyConflict) as caught:
        _apply(obj, _config(a="2"), "n")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "m": .data.a'
    assert caught.value.status()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "m"', "field": ".data.a"}
    ]
    forced = _apply(obj, _config(a="2"), "n", force=True)
    assert forced["data"] == {"a": "2"}
    assert [e["manager"] for e in forced["metadata"]["managedFields"]] == ["n"]


def test_update_takes_what_it_changes() -> None:
    obj = _apply(None, _config(a="1", b="2"), "m")
    new = copy.deepcopy(obj)
    new["data"]["a"] = "9"
    ssa.track_update(obj, new, CONFIG_MAP, manager="u", now="2020-01-01T00:00:01Z")
    owners = {e["manager"]: e["fieldsV1"] for e in new["metadata"]["managedFields"]}
    assert owners == {"m": {"f:data": {"f:b": {}}}, "u": {"f:data": {"f:a": {}}}}
    with pytest.raises(ApplyConflict, match='"u" using v1: \\.data\\.a'):
        _apply(new, _config(a="1", b="2"), "m")


def test_unchanged_update_keeps_managed_fields() -> None:
    obj = _apply(None, _config(a="1"), "m")
    new = copy.deepcopy(obj)
    ssa.track_update(obj, new, CONFIG_MAP, manager="u", now="2030-01-01T00:00:00Z")
    assert new == obj


def test_list_elements_are_owned_by_key() -> None:
    def pod(*names: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": name, "image": "i"} for name in names]},
        }

    obj = _apply(_apply(None, pod("a", "b"), "m"), pod("c"), "n")
    assert [c["name"] for c in obj["spec"]["containers"]] == ["a", "b", "c"]
    obj = _apply(obj, pod("b"), "m")
    assert [c["name"] for c in obj["spec"]["containers"]] == ["b", "c"]


def test_apply_of_an_undeclared_field_is_refused() -> None:
    config = {**_config(), "dada": {}}
    with pytest.raises(APIError, match="dada: field not declared in schema"):
        _apply(None, config, "m")


@given(
    st.sets(
        st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}']), min_size=1, max_size=4).map(
            tuple
        )
    )
)
def test_fields_v1_survives(paths: set[tuple[str, ...]]) -> None:
    assert from_fields_v1(to_fields_v1(paths)) == paths
