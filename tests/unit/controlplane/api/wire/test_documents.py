"""Errors, discovery, schemas, OpenAPI, protobuf bodies and tables: what the server says."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest

from controlplane.api import errors
from controlplane.api.errors import APIError, BadRequest
from controlplane.api.schema import strict
from controlplane.api.schema.builtin import schema_for
from controlplane.api.table import render as tables
from controlplane.api.wire import discovery, protobuf
from controlplane.api.wire.openapi import Documents
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES

DOCUMENTS = Documents(SCHEME)

# Bodies as kubectl 1.32 sends them.
SECRET = "azhzAAoMCgJ2MRIGU2VjcmV0Eh0KEQoBcxIAGgAiACoAMgA4AEIAEgYKAWESAWIaABoAIgA="
DEPLOYMENT = (
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErABChsKAXgSABoAIgAqADIAOABCAFoICgNhcHASAXgSggEIAhIKCggK"
    "A2FwcBIBeBpqChoKABIAGgAiACoAMgA4AEIAWggKA2FwcBIBeBJMEi4KBW5naW54EgVuZ2lueCoAMgoKABAAGFAiACoA"
    "QgBqAHIAgAEAiAEAkAEAogEAGgAyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAa"
    "ACIA"
)


DEPLOYMENT_SCHEMA = schema_for("apps/v1", "Deployment")


def _all_classes(cls: type[APIError]) -> list[type[APIError]]:
    return [c for sub in cls.__subclasses__() for c in (sub, *_all_classes(sub))]


@pytest.mark.parametrize("cls", _all_classes(APIError), ids=lambda cls: cls.__name__)
def test_every_error_survives_its_status(cls: type[APIError]) -> None:
    body = {"reason": cls.reason, "code": cls.code, "message": "m"}
    error = APIError.from_status(body)
    assert issubclass(cls, type(error))
    assert (error.reason, error.status_code) == (cls.reason, cls.code)
    assert error.status()["message"] == "m"


def test_not_found_names_the_resource() -> None:
    status = errors.NotFound.of(DEPLOYMENTS, "x").status()
    assert status["message"] == 'deployments.apps "x" not found'
    assert status["details"] == {"name": "x", "group": "apps", "kind": "deployments"}


def test_keys_have_kubernetes_historic_names() -> None:
    assert NODES.key("", "n") == "/registry/minions/n"
    assert SERVICES.key("d", "s") == "/registry/services/specs/d/s"


@pytest.mark.parametrize("version", discovery.AGGREGATED_VERSIONS)
def test_aggregated_discovery_lists_every_kind(version: str) -> None:
    found = {
        resource["responseKind"]["kind"]
        for legacy in (True, False)
        for group in discovery.aggregated(SCHEME, version, legacy=legacy)["items"]
        for api in group["versions"]
        for resource in api["resources"]
    }
    assert found == {row.kind for row in SCHEME.all()}


def test_every_kind_has_a_schema() -> None:
    for row in SCHEME.all():
        assert schema_for(row.group_version, row.kind) is not None, row.kind


def test_schema_knows_merge_keys_and_strategies() -> None:
    schema = schema_for("apps/v1", "Deployment")
    assert schema is not None
    containers = schema.at("spec.template.spec.containers")
    strategy = schema.at("spec.strategy")
    assert containers is not None
    assert strategy is not None
    assert containers.patch_merge_key == "name"
    assert strategy.patch_strategies == ("retainKeys",)


def test_openapi_v3_references_resolve() -> None:
    index = json.loads(DOCUMENTS.v3_index)
    for path in index["paths"]:
        body = DOCUMENTS.v3_document(path)
        assert body is not None
        document = json.loads(body)
        for name in _references(document):
            assert name in document["components"]["schemas"], (path, name)


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for item in value.values() for name in _references(item)}
    if isinstance(value.get("$ref"), str):
        found.add(value["$ref"].rpartition("/")[2])
    return found


def test_openapi_tells_that_the_server_validates() -> None:
    body = DOCUMENTS.v3_document("apis/apps/v1")
    assert body is not None
    path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    operation = json.loads(body)["paths"][path]["patch"]
    assert {"dryRun", "fieldValidation"} <= {row["name"] for row in operation["parameters"]}
    assert operation["x-kubernetes-group-version-kind"]["kind"] == "Deployment"


def test_protobuf_secret_is_decoded() -> None:
    assert protobuf.decode(base64.b64decode(SECRET)) == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "s"},
        "data": {"a": "Yg=="},
    }


def test_protobuf_deployment_is_decoded() -> None:
    obj = protobuf.decode(base64.b64decode(DEPLOYMENT))
    assert obj["spec"]["replicas"] == 2
    assert obj["spec"]["template"]["spec"]["containers"] == [
        {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}
    ]
    assert strict.unknown_fields(obj, DEPLOYMENT_SCHEMA) == []
    assert strict.type_errors(obj, DEPLOYMENT_SCHEMA) == []


def test_damaged_protobuf_is_refused_and_never_crashes() -> None:
    whole = base64.b64decode(DEPLOYMENT)
    with pytest.raises(BadRequest):
        protobuf.decode(whole[:100])
    for length in range(len(whole)):
        for body in (whole[:length], whole[:length] + b"\xff" + whole[length + 1 :]):
            with contextlib.suppress(APIError):
                protobuf.decode(body)


def test_unknown_and_duplicate_fields_are_named_by_path() -> None:
    value, duplicates = strict.loads(
        b'{"kind":"Pod","apiVersion":"v1","spec":{"foo":1,"nodeName":"a","nodeName":"b",'
        b'"containers":[{"name":"c","bar":1}]}}'
    )
    assert duplicates == ['duplicate field "spec.nodeName"']
    assert strict.prune(value, schema_for("v1", "Pod")) == [
        'unknown field "spec.foo"',
        'unknown field "spec.containers[0].bar"',
    ]
    assert value["spec"] == {"nodeName": "b", "containers": [{"name": "c"}]}


def test_problems_are_told_in_the_order_of_the_body() -> None:
    # As recorded for {"spec":{"unknownField":"foo","replicas":2,"replicas":3}}: unknown first, then duplicate.
    for body, expected in (
        (
            b'{"spec":{"unknown":1,"a":[{"b":1,"b":2}],"c":2,"c":3}}',
            ["spec.unknown", "spec.a[0].b", "spec.c"],
        ),
        (b'{"spec":{"c":2,"c":3,"unknown":1}}', ["spec.c", "spec.unknown"]),
        (b'{"spec":{"c":2,"unknown":1,"c":3}}', ["spec.unknown", "spec.c"]),
    ):
        value, duplicates = strict.loads(body)
        found = strict.in_order([*duplicates, 'unknown field "spec.unknown"'], value)
        assert [problem.split('"')[1] for problem in found] == expected


def test_wrong_type_is_told() -> None:
    obj = {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": "3"}}
    assert strict.type_errors(obj, DEPLOYMENT_SCHEMA) == [
        "json: cannot unmarshal string into Go struct field spec.replicas of type int32"
    ]


def _pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": "1970-01-01T00:00:00Z", **metadata},
        "spec": {
            "containers": [{"name": "c"}],
            "initContainers": [{"name": "i"}] if "initContainerStatuses" in status else [],
        },
        "status": status,
    }


def _container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "c", "state": state, **more}


@pytest.mark.parametrize(
    ("pod", "cells"),
    [
        pytest.param(_pod({"phase": "Pending"}), ["0/1", "Pending", "0"], id="pending"),
        pytest.param(
            _pod(
                {
                    "phase": "Pending",
                    "containerStatuses": [_container({"waiting": {"reason": "ContainerCreating"}})],
                }
            ),
            ["0/1", "ContainerCreating", "0"],
            id="creating",
        ),
        pytest.param(
            _pod(
                {
                    "phase": "Running",
                    "containerStatuses": [
                        _container(
                            {"waiting": {"reason": "CrashLoopBackOff"}},
                            restartCount=3,
                            lastState={"terminated": {"finishedAt": "1970-01-01T00:00:55Z"}},
                        )
                    ],
                }
            ),
            ["0/1", "CrashLoopBackOff", "3 (5s ago)"],
            id="crash-loop",
        ),
        pytest.param(
            _pod(
                {
                    "phase": "Running",
                    "containerStatuses": [_container({"running": {}}, ready=True)],
                }
            ),
            ["1/1", "Running", "0"],
            id="running",
        ),
        pytest.param(
            _pod({"phase": "Running"}, deletionTimestamp="1970-01-01T00:00:10Z"),
            ["0/1", "Terminating", "0"],
            id="terminating",
        ),
        pytest.param(
            _pod(
                {
                    "phase": "Succeeded",
                    "containerStatuses": [
                        _container({"terminated": {"exitCode": 0, "reason": "Completed"}})
                    ],
                }
            ),
            ["0/1", "Completed", "0"],
            id="completed",
        ),
        pytest.param(
            _pod(
                {
                    "phase": "Pending",
                    "initContainerStatuses": [{"name": "i", "state": {"running": {}}}],
                }
            ),
            ["0/1", "Init:0/1", "0"],
            id="init",
        ),
    ],
)
def test_pod_row(pod: dict[str, Any], cells: list[str]) -> None:
    table = tables.to_table(SCHEME.kind_of(PODS), [pod], now=60.0)
    assert table["rows"][0]["cells"][:5] == ["p", *cells, "60s"]


def test_rows_have_a_cell_per_column_for_every_kind() -> None:
    for kind in SCHEME.kinds:
        table = tables.to_table(kind, [{"metadata": {"name": "x"}}], {}, now=0.0)
        assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])
        json.dumps(table)
