"""What the types of objects say against expressions of policies."""

from typing import Any

import pytest

from controlplane.api.cel.type_checking import warnings
from controlplane.api.meta import Obj
from controlplane.api.schema import builtin
from controlplane.api.schema.builtin import Schema

DEPLOYMENT = builtin.schema_for("apps/v1", "Deployment")
assert DEPLOYMENT is not None
TYPES = [("apps/v1, Kind=Deployment", DEPLOYMENT)]


def policy(expression: str, **more: Any) -> Obj:
    return {"validations": [{"expression": expression}], **more}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param(policy("object.spec.replicas > 1"), "", id="fits"),
        pytest.param(
            policy("object.spec.replicas > '1'"),
            "found no matching overload for '_>_' applied to '(int, string)'",
            id="types",
        ),
        pytest.param(policy("object.spec.nothing == 1"), "undefined field 'nothing'", id="field"),
        pytest.param(
            policy("object.spec.template.spec.containers.all(c, c.image.startsWith('a'))"),
            "",
            id="list",
        ),
        pytest.param(
            policy("object.spec.template.spec.containers.all(c, c.picture == '')"),
            "undefined field 'picture'",
            id="field in a list",
        ),
        pytest.param(policy("object.metadata.labels['a'] == 'b'"), "", id="map"),
        pytest.param(
            policy("object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')"),
            "",
            id="time",
        ),
        pytest.param(policy("has(oldObject.spec) && request.name != ''"), "", id="others"),
        pytest.param(
            policy(
                "variables.n > 1", variables=[{"name": "n", "expression": "object.spec.replicas"}]
            ),
            "",
            id="variable",
        ),
        pytest.param(
            policy(
                "variables.n > '1'", variables=[{"name": "n", "expression": "object.spec.replicas"}]
            ),
            "found no matching overload for '_>_' applied to '(int, string)'",
            id="type of a variable",
        ),
        pytest.param(
            policy("params.data.x == 'y'", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}),
            "",
            id="parameters",
        ),
    ],
)
def test_expressions_are_checked_against_the_type(spec: Obj, problem: str) -> None:
    found = warnings(spec, TYPES, builtin.schema_for("v1", "ConfigMap"))
    if not problem:
        assert found == []
        return
    (warning,) = found
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert warning["warning"].startswith("apps/v1, Kind=Deployment: compilation failed: ERROR:")
    assert problem in warning["warning"]


def test_custom_resources_have_the_types_of_their_schema() -> None:
    raw = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "port": {"type": "integer"},
                    "any": {"x-kubernetes-int-or-string": True},
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
    schema = Schema(builtin.registry(), raw)
    good = policy("object.spec.port == 1 && object.spec.any == 'x' && object.spec.open.y == 2")
    assert warnings(good, [("t", schema)], None) == []
    (warning,) = warnings(policy("object.spec.port == 'x'"), [("t", schema)], None)
    assert "applied to '(int, string)'" in warning["warning"]


def test_each_type_and_each_expression_is_told_by_itself() -> None:
    spec = {
        "validations": [
            {"expression": "true"},
            {"expression": "object.a", "messageExpression": "object.b"},
        ]
    }
    pod = builtin.schema_for("v1", "Pod")
    assert pod is not None
    found = warnings(spec, [*TYPES, ("/v1, Kind=Pod", pod)], None)
    assert [one["fieldRef"] for one in found] == [
        "spec.validations[1].expression",
        "spec.validations[1].messageExpression",
    ]
    assert all("/v1, Kind=Pod: compilation failed: " in one["warning"] for one in found)
