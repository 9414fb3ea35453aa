"""Defaults and validation, by kind."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.validation import objects
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.namespace import NAMESPACES

Object = dict[str, Any]


def _pod(**container: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1", **container}]},
    }


def _deployment() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": _pod()["spec"]},
        },
    }


def _service(**spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "d"},
        "spec": {"ports": [{"port": 80}], **spec},
    }


def _kind(obj: Object) -> Kind:
    resource = SCHEME.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    return SCHEME.kind_of(resource)


def _default(obj: Object) -> None:
    _kind(obj).default(obj)


def _causes(obj: Object, old: Object | None = None) -> dict[str, str]:
    _default(obj)
    if old is None:
        found = objects.validate_create(_kind(obj), obj)
    else:
        _default(old)
        found = objects.validate_update(_kind(obj), obj, old)
    return {cause.field: cause.message for cause in found}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("nginx@sha256:ab", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    pod = _pod(image=image)
    _default(pod)
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize("obj", [_pod(), _deployment(), _service()], ids=lambda o: o["kind"])
def test_defaults_are_idempotent_and_valid(obj: Object) -> None:
    assert _causes(obj) == {}
    once = copy.deepcopy(obj)
    _default(obj)
    assert obj == once


def test_deployment_defaults_are_upstreams() -> None:
    obj = _deployment()
    _default(obj)
    assert obj["spec"]["replicas"] == 1
    rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert obj["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert obj["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_secret_strings_are_merged_into_data() -> None:
    obj: Object = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}}
    _default(obj)
    assert (obj["data"], obj["type"], "stringData" in obj) == ({"a": "Yg=="}, "Opaque", False)


def test_namespace_gets_its_label_and_finalizer() -> None:
    obj: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    _kind(obj).default(obj)
    _kind(obj).strategy(NAMESPACES).prepare_for_create(obj)
    assert meta.labels(obj) == {"kubernetes.io/metadata.name": "n"}
    assert obj["spec"]["finalizers"] == ["kubernetes"]


@pytest.mark.parametrize(
    ("obj", "field", "message"),
    [
        pytest.param(_pod(image=""), "spec.containers[0].image", "Required value", id="image"),
        pytest.param(
            _pod(ports=[{"containerPort": 70000}]),
            "spec.containers[0].ports[0].containerPort",
            "must be between 1 and 65535",
            id="port",
        ),
        pytest.param(
            _pod(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            "spec.containers[0].resources.requests",
            "must be less than or equal to cpu limit",
            id="request-over-limit",
        ),
        pytest.param(
            _pod(resources={"limits": {"cpu": "x"}}),
            "spec.containers[0].resources.limits[cpu]",
            "quantities must match",
            id="quantity",
        ),
        pytest.param(
            _pod(livenessProbe={}), "spec.containers[0].livenessProbe", "handler", id="probe"
        ),
        pytest.param(
            _pod(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "v"',
            id="mount",
        ),
        pytest.param(
            _service(ports=[{"port": 1}, {"port": 2}]),
            "spec.ports[0].name",
            "Required value",
            id="service-port-names",
        ),
    ],
)
def test_invalid_object_is_told_where(obj: Object, field: str, message: str) -> None:
    assert message in _causes(obj)[field]


def test_selector_must_match_the_template() -> None:
    obj = _deployment()
    obj["spec"]["selector"] = {"matchLabels": {"app": "y"}}
    assert "does not match template" in _causes(obj)["spec.template.metadata.labels"]


def test_template_must_restart_always() -> None:
    obj = _deployment()
    obj["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    assert 'supported values: "Always"' in _causes(obj)["spec.template.spec.restartPolicy"]


def test_selector_is_immutable() -> None:
    old, new = _deployment(), _deployment()
    new["spec"]["selector"]["matchLabels"] = {"app": "x", "b": "c"}
    assert "field is immutable" in _causes(new, old)["spec.selector"]


def test_pod_image_may_change_and_command_may_not() -> None:
    assert _causes(_pod(image="nginx:2", imagePullPolicy="IfNotPresent"), _pod()) == {}
    assert "pod updates may not change" in _causes(_pod(command=["x"]), _pod())["spec"]


def test_toleration_may_be_added_to_a_pod() -> None:
    new = _pod()
    new["spec"]["tolerations"] = [
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    ]
    assert _causes(copy.deepcopy(new), _pod()) == {}
    assert "spec.tolerations" in _causes(_pod(), new)


def test_new_finalizer_on_a_deleted_object_is_refused() -> None:
    old, new = _pod(), _pod()
    for obj in (old, new):
        obj["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    new["metadata"]["finalizers"] = ["a.io/b"]
    assert "no new finalizers" in _causes(new, old)["metadata.finalizers"]
