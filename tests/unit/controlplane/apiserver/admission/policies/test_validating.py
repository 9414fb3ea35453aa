"""ValidatingAdmissionPolicies: what expressions see, what their failure does, and the words of it."""

import json
from typing import Any

import pytest

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.kinds.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from controlplane.kinds.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.secret import SECRETS
from tests.unit.controlplane.apiserver.admission.policies.conftest import Cluster, constraints

DENIED = "ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: "
CONFIG_MAPS_PATH = CONFIG_MAPS.path("default")


def config_map(name: str = "a", **fields: Any) -> Obj:
    return {"metadata": {"name": name, **fields.pop("metadata", {})}, **fields}


def rule(expression: str, **more: Any) -> Obj:
    return {"validations": [{"expression": expression, **more}]}


async def refusal(cluster: Cluster, obj: Obj) -> str:
    """What a create is told; empty when it is let in."""
    try:
        await cluster.client.create(CONFIG_MAPS, obj, "default")
    except APIError as error:
        return error.message.removeprefix(f'configmaps "{obj["metadata"]["name"]}" is forbidden: ')
    return ""


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(rule("object.data.k == 'v'"), "", id="holds"),
        pytest.param(
            rule("object.data.k == 'w'"), "failed expression: object.data.k == 'w'", id="fails"
        ),
        pytest.param(rule("false", message=" no "), "no", id="message"),
        pytest.param(
            rule("false", message="no", messageExpression="'k is ' + object.data.k"),
            "k is v",
            id="message by expression",
        ),
        pytest.param(
            rule("false", message="no", messageExpression="string(object.data.missing)"),
            "no",
            id="message by an expression that fails",
        ),
        pytest.param(
            rule("object.data.missing == ''"),
            "expression 'object.data.missing == ''' resulted in error: no such key: missing",
            id="error",
        ),
        pytest.param(
            rule("int(object.data.k) > 1"),
            "expression 'int(object.data.k) > 1' resulted in error: type conversion error from "
            "'string' to 'int'",
            id="conversion",
        ),
        pytest.param(
            {**rule("object.data.missing == ''"), "failurePolicy": "Ignore"},
            "",
            id="error that is ignored",
        ),
        pytest.param(
            rule("request.operation == 'CREATE' && request.userInfo.username == 'u'"),
            "",
            id="request",
        ),
        pytest.param(
            rule("namespaceObject.metadata.name == 'default' && oldObject == null"),
            "",
            id="namespace",
        ),
        pytest.param(
            rule("authorizer.serviceAccount('default', 'x').path('/x').check('get').allowed()"),
            "",
            id="authorizer",
        ),
        pytest.param(
            {
                **rule("variables.b == 'vv'"),
                "variables": [
                    {"name": "a", "expression": "object.data.k"},
                    {"name": "b", "expression": "variables.a + variables.a"},
                    {"name": "bad", "expression": "object.data.missing"},
                ],
            },
            "",
            id="variables",
        ),
        pytest.param(
            {
                **rule("variables.bad == 'x'"),
                "variables": [{"name": "bad", "expression": "object.data.missing"}],
            },
            "expression 'variables.bad == 'x'' resulted in error: composited variable \"bad\" fails "
            "to evaluate: no such key: missing",
            id="variable that fails",
        ),
        pytest.param(
            {
                **rule("false"),
                "matchConditions": [{"name": "n", "expression": "object.metadata.name != 'a'"}],
            },
            "",
            id="condition",
        ),
        pytest.param(
            {
                **rule("false"),
                "matchConstraints": {
                    **constraints("configmaps", "*"),
                    "excludeResourceRules": [
                        {
                            **constraints("configmaps", "*")["resourceRules"][0],
                            "resourceNames": ["a"],
                        }
                    ],
                },
            },
            "",
            id="excluded by name",
        ),
    ],
)
async def test_a_policy_is_evaluated_over_the_request(
    cluster: Cluster, spec: Obj, why: str
) -> None:
    await cluster.validating(spec)
    told = await refusal(cluster, config_map(data={"k": "v"}))
    assert told == (DENIED + why if why else "")


@pytest.mark.parametrize(
    ("reason", "code"),
    [(None, 422), ("Invalid", 422), ("Forbidden", 403), ("RequestEntityTooLarge", 413)],
)
async def test_a_refusal_has_the_reason_of_its_validation(
    cluster: Cluster, reason: str | None, code: int
) -> None:
    await cluster.validating(rule("false", **({"reason": reason} if reason else {})))
    answer = await cluster.ask("POST", CONFIG_MAPS_PATH, config_map())
    assert answer.status == code
    told = json.loads(answer.body)
    assert (told["code"], told["reason"]) == (code, reason or "Invalid")
    text = DENIED + "failed expression: false"
    assert told["details"] == {"name": "a", "kind": "configmaps", "causes": [{"message": text}]}


async def test_a_binding_may_warn_and_audit_and_let_pass(cluster: Cluster) -> None:
    await cluster.validating(rule("false"), {"validationActions": ["Warn", "Audit"]})
    answer = await cluster.ask("POST", CONFIG_MAPS_PATH, config_map())
    assert answer.status == 201
    assert answer.headers["Warning"] == (
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-b': failed "
        'expression: false"'
    )


async def test_deletions_are_seen_by_their_old_object(cluster: Cluster) -> None:
    await cluster.client.create(CONFIG_MAPS, config_map(data={"keep": "1"}), "default")
    await cluster.validating(rule("request.operation != 'DELETE' || !has(oldObject.data.keep)"))
    with pytest.raises(APIError, match="denied request"):
        await cluster.client.delete(CONFIG_MAPS, "a", "default")


async def test_a_policy_that_is_not_bound_does_nothing(cluster: Cluster) -> None:
    await cluster.validating(rule("false"))
    await cluster.client.delete(VALIDATING_ADMISSION_POLICY_BINDINGS, "p-b")
    await cluster.settle()
    assert await refusal(cluster, config_map()) == ""


async def test_a_binding_selects_namespaces_and_objects(cluster: Cluster) -> None:
    only = {"matchLabels": {"strict": "yes"}}
    await cluster.validating(rule("false"), {"matchResources": {"objectSelector": only}})
    assert await refusal(cluster, config_map()) == ""
    labelled = config_map("b", metadata={"labels": {"strict": "yes"}})
    assert await refusal(cluster, labelled) == DENIED + "failed expression: false"


PARAM_KIND = {"apiVersion": "v1", "kind": "Secret"}
USES_PARAMS = {"paramKind": PARAM_KIND, **rule("params != null && params.type == object.data.k")}


def reference(**fields: Any) -> Obj:
    return {"paramRef": {"parameterNotFoundAction": "Deny", **fields}}


@pytest.mark.parametrize(
    ("binding", "why"),
    [
        pytest.param(reference(name="one"), "", id="name"),
        pytest.param(
            reference(name="two"),
            "failed expression: params != null && params.type == object.data.k",
            id="another",
        ),
        pytest.param(
            reference(name="none"),
            "failed to configure binding: no params found for policy binding with `Deny` "
            "parameterNotFoundAction",
            id="none, deny",
        ),
        pytest.param(reference(name="none", parameterNotFoundAction="Allow"), "", id="none, allow"),
        pytest.param(reference(selector={"matchLabels": {"n": "1"}}), "", id="selector"),
        pytest.param(
            reference(selector={}),
            "failed expression: params != null && params.type == object.data.k",
            id="all must hold",
        ),
        pytest.param(
            {},
            "failed expression: params != null && params.type == object.data.k",
            id="no reference: null",
        ),
    ],
)
async def test_parameters_are_found_by_their_reference(
    cluster: Cluster, binding: Obj, why: str
) -> None:
    for name, sort in (("one", "v"), ("two", "w")):
        labels = {"n": "1" if name == "one" else "2"}
        secret = {"metadata": {"name": name, "labels": labels}, "type": sort}
        await cluster.client.create(SECRETS, secret, "default")
    await cluster.validating(USES_PARAMS, binding)
    told = await refusal(cluster, config_map(data={"k": "v"}))
    assert told == (DENIED + why if why else "")


async def test_parameters_may_be_custom_resources(cluster: Cluster) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "metadata": {"name": "limits.rules.example.com"},
        "spec": {
            "group": "rules.example.com",
            "scope": "Cluster",
            "names": {"plural": "limits", "singular": "limit", "kind": "Limit"},
            "versions": [version],
        },
    }
    spec = {
        "paramKind": {"apiVersion": "rules.example.com/v1", "kind": "Limit"},
        **rule("int(object.data.k) <= params.most"),
    }
    await cluster.validating(spec, reference(name="l"))
    told = await refusal(cluster, config_map(data={"k": "3"}))
    assert told == (
        "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find "
        "resource referenced by paramKind: 'rules.example.com/v1, Kind=Limit'"
    )
    await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    limit = {
        "apiVersion": "rules.example.com/v1",
        "kind": "Limit",
        "metadata": {"name": "l"},
        "most": 2,
    }
    answer = await cluster.ask("POST", "/apis/rules.example.com/v1/limits", limit)
    assert answer.status == 201, answer.body
    await cluster.settle()
    told = await refusal(cluster, config_map(data={"k": "3"}))
    assert told == DENIED + "failed expression: int(object.data.k) <= params.most"
    assert await refusal(cluster, config_map(data={"k": "2"})) == ""


async def test_a_namespaced_reference_is_of_no_use_to_cluster_wide_objects(
    cluster: Cluster,
) -> None:
    await cluster.validating(USES_PARAMS, reference(name="one"), resource="nodes")
    with pytest.raises(APIError) as refused:
        await cluster.client.create(NODES, {"metadata": {"name": "n"}})
    assert refused.value.message.endswith(
        "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
    )


async def test_notes_for_the_audit_log_that_fail_refuse_the_request(cluster: Cluster) -> None:
    notes = [{"key": "k", "valueExpression": "string(object.data.missing)"}]
    await cluster.validating({"auditAnnotations": notes})
    assert await refusal(cluster, config_map(data={"k": "v"})) == (
        DENIED + "expression 'string(object.data.missing)' resulted in error: no such key: missing"
    )
