"""The form in which objects are kept: which zero values stay, which vanish, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.schema import messages, normal

Obj = dict[str, Any]

# What a real API server of 1.36 answered: reading it again must change nothing.
RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "stored-objects.json").read_text())


def normalized(obj: Obj) -> Obj:
    kind = normal.compiled_of(obj["apiVersion"], obj["kind"])
    assert kind is not None
    return normal.normalize(obj, kind)[0]


@pytest.mark.parametrize(
    "obj", RECORDED, ids=[f"{obj['kind']}-{obj['metadata'].get('name')}" for obj in RECORDED]
)
def test_what_the_original_stores_is_a_fixed_point(obj: Obj) -> None:
    assert normalized(obj) == obj


def pod(spec: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def container(**fields: Any) -> Obj:
    return pod({"containers": [{"name": "c", **fields}]})


def first_container(obj: Obj) -> Obj:
    return normalized(obj)["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({"tty": False}, {}, id="plain bool"),
        pytest.param({"workingDir": ""}, {}, id="plain text"),
        pytest.param({"args": []}, {}, id="empty list"),
        pytest.param({"image": None}, {}, id="null"),
        pytest.param({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, id="value"),
        pytest.param({"securityContext": {}}, {"securityContext": {}}, id="pointer to a struct"),
        pytest.param(
            {"securityContext": {"privileged": False}},
            {"securityContext": {"privileged": False}},
            id="pointer to false",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            id="readOnly",
        ),
        pytest.param(
            {"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi", "x": 0.5}}},
            {"resources": {"limits": {"cpu": "1", "memory": "1Gi", "x": "500m"}}},
            id="quantities",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
            {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {
                            "resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}
                        },
                    }
                ]
            },
            id="a quantity that is never left out",
        ),
    ],
)
def test_zero_values_of_a_container(sent: Obj, kept: Obj) -> None:
    assert first_container(container(**sent)) == {"name": "c", "resources": {}, **kept}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {}}, "data": {}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
            id="empty maps",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": None, "b": "x"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"a": "", "b": "x"}},
            id="null in a map is its zero",
        ),
        pytest.param(
            {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0}},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {},
                "spec": {
                    "replicas": 0,
                    "selector": None,
                    "strategy": {},
                    "template": {"metadata": {}, "spec": {"containers": None}},
                },
                "status": {},
            },
            id="structs and required fields are written",
        ),
        pytest.param(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "r"},
                "rules": [],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "r"},
                "rules": None,
            },
            id="an empty required list is null",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"creationTimestamp": None, "generation": 0, "labels": {"a": None}},
            },
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"a": ""}}},
            id="creationTimestamp null goes since 1.34",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "Secret", "data": {"a": "YWI\n="}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "YWI="}},
            id="line ends in base64",
        ),
        pytest.param(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"renewTime": None}},
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {},
                "spec": {},
            },
            id="time without a value",
        ),
    ],
)
def test_zero_values_of_objects(sent: Obj, kept: Obj) -> None:
    assert normalized(sent) == kept


def test_times_have_one_spelling() -> None:
    obj = container()
    obj["metadata"]["creationTimestamp"] = "2020-01-01T02:00:00.5+02:00"
    assert normalized(obj)["metadata"]["creationTimestamp"] == "2020-01-01T00:00:00Z"


def test_the_result_shares_nothing_that_can_change() -> None:
    obj = container(args=["a"])
    obj["metadata"]["labels"] = {"a": "b"}
    made = normalized(obj)
    made["metadata"]["labels"]["a"] = "c"
    made["spec"]["containers"][0]["args"].append("b")
    assert obj["metadata"]["labels"] == {"a": "b"}
    assert obj["spec"]["containers"][0]["args"] == ["a"]


def deployment(spec: Any, **metadata: Any) -> Obj:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


# Texts of a real API server of 1.36, without what it says before them.
@pytest.mark.parametrize(
    ("obj", "text"),
    [
        pytest.param(
            deployment({"replicas": 1.5}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            id="fraction",
        ),
        pytest.param(
            deployment({"replicas": 2147483648}),
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
            id="too large",
        ),
        pytest.param(
            deployment({}, annotations={"a": 1}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string",
            id="map value",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "x"},
            "json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
            id="struct",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "binaryData": {"a": "?"}},
            "illegal base64 data at input byte 0",
            id="base64",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"creationTimestamp": "yesterday"},
            },
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
            id="time",
        ),
        pytest.param(
            container(resources={"limits": {"cpu": "1 "}}),
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            id="quantity with a blank",
        ),
        pytest.param(
            container(resources={"limits": {"memory": "1gb"}}),
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            id="quantity with a wrong suffix",
        ),
    ],
)
def test_wrong_types_are_refused_in_upstreams_words(obj: Obj, text: str) -> None:
    with pytest.raises(normal.MalformedError) as refused:
        normalized(obj)
    assert str(refused.value) == text


def test_unknown_fields_are_dropped_and_told_by_their_path() -> None:
    obj = container(nope=1)
    obj["bogus"] = 1
    obj["metadata"]["strange"] = {"a": 1}
    kind = normal.compiled_of("v1", "Pod")
    assert kind is not None
    made, has_unknown = normal.normalize(obj, kind)
    assert has_unknown
    assert "bogus" not in made
    assert normal.unknown_fields(obj, kind) == [
        "metadata.strange",
        "spec.containers[0].nope",
        "bogus",
    ]


@pytest.mark.parametrize(
    ("api_version", "kind", "is_known"),
    [
        ("v1", "Pod", True),
        ("autoscaling/v2", "HorizontalPodAutoscaler", True),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", True),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", True),
        ("apiregistration.k8s.io/v1", "APIService", True),
        ("apps/v1", "DeleteOptions", True),
        ("v1", "Status", True),
        ("v1", "PodSpec", False),
        ("serving.knative.dev/v1", "Service", False),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", False),
        ("storage.example.com/v1", "StorageClass", False),
    ],
)
def test_only_kinds_of_kubernetes_are_known(api_version: str, kind: str, is_known: bool) -> None:
    assert (messages.message_of(api_version, kind) is not None) == is_known


def test_every_type_can_be_compiled_and_has_a_zero() -> None:
    for names in messages.packages().values():
        for name in names:
            kind = normal.compiled(name)
            zero = kind.zero()
            assert normal.normalize(zero, kind) == (zero, False), name


def test_fields_are_in_the_order_of_the_type() -> None:
    obj = {
        "spec": {"containers": [{"image": "i", "name": "c"}]},
        "metadata": {"labels": {"b": "1", "a": "2"}, "name": "p"},
        "apiVersion": "v1",
        "kind": "Pod",
    }
    made = normalized(obj)
    assert list(made) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert list(made["metadata"]) == ["name", "labels"]
    assert list(made["spec"]["containers"][0]) == ["name", "image", "resources"]
    assert list(made["metadata"]["labels"]) == ["b", "a"]
