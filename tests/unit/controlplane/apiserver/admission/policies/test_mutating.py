"""MutatingAdmissionPolicies: apply configurations and JSON patches by expressions."""

import json
from typing import Any

import pytest

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.kinds.admissionregistration.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICIES,
)
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS
from tests.unit.controlplane.apiserver.admission.policies.conftest import Cluster, constraints


def applying(expression: str, **more: Any) -> Obj:
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": expression},
    }
    return {"mutations": [mutation], **more}


def patching(expression: str, **more: Any) -> Obj:
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}
    return {"mutations": [mutation], **more}


def config_map(**fields: Any) -> Obj:
    return {"metadata": {"name": "a"}, "data": {"k": "v"}, **fields}


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        pytest.param(
            applying('Object{data: {"new": object.data.k + "!"}}'),
            {"k": "v", "new": "v!"},
            id="apply",
        ),
        pytest.param(
            applying('Object{?data: optional.of({"k": "w"})}'), {"k": "w"}, id="optional field"
        ),
        pytest.param(
            patching(
                '[JSONPatch{op: "test", path: "/data/k", value: "v"}, '
                'JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("a.b"), value: "1"}]'
            ),
            {"k": "v", "a.b": "1"},
            id="patch",
        ),
        pytest.param(
            patching(
                '[JSONPatch{op: "test", path: "/data/k", value: "other"}, '
                'JSONPatch{op: "remove", path: "/data/k"}]'
            ),
            {"k": "v"},
            id="test that fails",
        ),
        pytest.param(
            patching(
                'has(object.data.missing) ? [] : [JSONPatch{op: "copy", from: "/data/k", '
                'path: "/data/c"}]'
            ),
            {"k": "v", "c": "v"},
            id="copy, on a condition",
        ),
        pytest.param(
            applying(
                'Object{data: {"n": variables.n}}',
                variables=[{"name": "n", "expression": "request.name"}],
            ),
            {"k": "v", "n": "a"},
            id="variable",
        ),
        pytest.param(
            applying(
                'Object{data: {"n": "1"}}',
                matchConditions=[{"name": "n", "expression": "object.data.k == 'w'"}],
            ),
            {"k": "v"},
            id="condition",
        ),
    ],
)
async def test_a_mutation_changes_the_object(cluster: Cluster, spec: Obj, data: Obj) -> None:
    await cluster.mutating(spec)
    made = await cluster.client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"] == data


async def test_mutations_of_a_policy_see_what_the_ones_before_have_made(cluster: Cluster) -> None:
    first = applying('Object{data: {"one": "1"}}')["mutations"]
    second = applying('Object{data: {"two": object.data.one}}')["mutations"]
    await cluster.mutating({"mutations": first + second})
    made = await cluster.client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"] == {"k": "v", "one": "1", "two": "1"}


async def test_lists_by_keys_are_merged(cluster: Cluster) -> None:
    expression = (
        "Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: 'proxy', "
        "image: 'i', args: ['x'], restartPolicy: 'Always'}]}}"
    )
    # The list of arguments is atomic, which an apply configuration may not touch.
    await cluster.mutating(applying(expression), resource="pods")
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    with pytest.raises(APIError) as refused:
        await cluster.client.create(PODS, pod, "default")
    assert refused.value.message == (
        "policy 'p' with binding 'p-b' denied request: error applying patch: invalid "
        "ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
        ".spec.initContainers[0].args"
    )


async def test_a_sidecar_is_added_with_defaults(cluster: Cluster) -> None:
    expression = (
        "Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: 'proxy', "
        "image: 'i', restartPolicy: 'Always'}]}}"
    )
    await cluster.mutating(applying(expression), resource="pods")
    pod = {
        "metadata": {"name": "p"},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "i"}],
            "initContainers": [{"name": "first", "image": "i"}],
        },
    }
    made = await cluster.client.create(PODS, pod, "default")
    names = [one["name"] for one in made["spec"]["initContainers"]]
    assert names == ["first", "proxy"]
    assert made["spec"]["initContainers"][1]["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(
            applying('Object{data: {"k": object.data.missing}}'),
            "expression 'Object{data: {\"k\": object.data.missing}}' resulted in error: no such key: "
            "missing",
            id="error",
        ),
        pytest.param(
            applying("Object{metadata: Object.spec{}}"),
            'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which '
            "matches field name path from root Object type",
            id="type name",
        ),
        pytest.param(
            applying('Object{nothing: "x"}'),
            "error applying patch: failed to convert patch object to typed object: .nothing: field "
            "not declared in schema",
            id="unknown field",
        ),
    ],
)
async def test_what_cannot_be_done_refuses_the_request_unless_it_is_to_be_ignored(
    cluster: Cluster, spec: Obj, why: str
) -> None:
    await cluster.mutating(spec)
    answer = await cluster.ask("POST", CONFIG_MAPS.path("default"), config_map())
    told = json.loads(answer.body)
    text = f"policy 'p' with binding 'p-b' denied request: {why}"
    assert (told["message"], told["code"], told["reason"]) == (text, 403, "Invalid")
    assert told["details"]["causes"] == [{"message": text}]
    live = await cluster.client.get(MUTATING_ADMISSION_POLICIES, "p")
    live["spec"]["failurePolicy"] = "Ignore"
    await cluster.client.update(MUTATING_ADMISSION_POLICIES, live)
    await cluster.settle()
    made = await cluster.client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"] == {"k": "v"}


async def test_parameters_give_values(cluster: Cluster) -> None:
    secret = {"metadata": {"name": "s"}, "type": "kind"}
    await cluster.client.create(SECRETS, secret, "default")
    await cluster.mutating(
        {
            **applying('Object{data: {"type": params.type}}'),
            "paramKind": {"apiVersion": "v1", "kind": "Secret"},
        },
        {"paramRef": {"name": "s", "parameterNotFoundAction": "Deny"}},
    )
    made = await cluster.client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"]["type"] == "kind"


async def test_a_policy_is_applied_again_when_a_later_one_changed_the_object(
    cluster: Cluster,
) -> None:
    count = 'Object{data: {"a": "fields: " + string(object.data.size())}}'
    await cluster.mutating(applying(count, reinvocationPolicy="IfNeeded"), name="a")
    await cluster.mutating(applying('Object{data: {"b": "1"}}'), name="b")
    made = await cluster.client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"] == {"k": "v", "a": "fields: 3", "b": "1"}


async def test_scales_are_changed_as_such(cluster: Cluster) -> None:
    labels = {"app": "w"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await cluster.client.create(DEPLOYMENTS, {"metadata": {"name": "w"}, "spec": spec}, "default")
    rule = constraints("deployments", "UPDATE")
    rule["resourceRules"][0]["resources"] = ["deployments/scale"]
    await cluster.mutating(
        {**applying("Object{spec: Object.spec{replicas: 2}}"), "matchConstraints": rule}
    )
    answer = await cluster.ask(
        "PATCH",
        DEPLOYMENTS.path("default", "w", "scale"),
        {"spec": {"replicas": 5}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status == 200, answer.body
    assert (await cluster.client.get(DEPLOYMENTS, "w", "default"))["spec"]["replicas"] == 2


async def test_a_binding_without_its_parameters_is_forbidden(cluster: Cluster) -> None:
    await cluster.mutating(
        {
            **applying('Object{data: {"type": params.type}}'),
            "paramKind": {"apiVersion": "v1", "kind": "Secret"},
        },
        {"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}},
    )
    answer = await cluster.ask("POST", CONFIG_MAPS.path("default"), config_map())
    told = json.loads(answer.body)
    assert (told["code"], told["reason"]) == (403, "Forbidden")
    assert told["message"] == (
        "policy 'p' with binding 'p-b' denied request: failed to configure binding: no params found "
        "for policy binding with `Deny` parameterNotFoundAction"
    )
