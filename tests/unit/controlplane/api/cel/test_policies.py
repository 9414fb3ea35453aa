"""Expressions of policies: what they may name, and what they must give."""

import pytest

from controlplane.api.cel import devices, policies


@pytest.mark.parametrize(
    ("expression", "gives"),
    [
        pytest.param("object.spec.x > 1", policies.BOOL, id="objects-have-any-field"),
        pytest.param(
            "request.userInfo.groups.exists(g, g == 'a') && request.kind.group == ''",
            policies.BOOL,
            id="request",
        ),
        pytest.param("'a' in namespaceObject.metadata.labels", policies.BOOL, id="namespace"),
        pytest.param(
            "authorizer.group('apps').resource('x').namespace('a').check('get').allowed()",
            policies.BOOL,
            id="authorizer",
        ),
        pytest.param("'v'", policies.AUDIT, id="text-to-audit"),
        pytest.param("null", policies.AUDIT, id="nothing-to-audit"),
        pytest.param(
            '[JSONPatch{op: "add", path: "/a/" + jsonpatch.escapeKey("b/c"), value: 1}]',
            policies.PATCH,
            id="patch",
        ),
        pytest.param(
            'Object{spec: Object.spec{?paused: object.?x, labels: {"a": "b"}}}',
            policies.CONFIGURATION,
            id="configuration",
        ),
    ],
)
def test_expressions_that_fit(expression: str, gives: str) -> None:
    assert policies.problem(expression, gives) == ""


@pytest.mark.parametrize(
    ("expression", "gives", "why"),
    [
        pytest.param(
            "object.spec.x", policies.BOOL, "must evaluate to bool but got dyn", id="unknown-type"
        ),
        pytest.param("1", policies.AUDIT, "must evaluate to one of [string null_type]", id="audit"),
        pytest.param(
            "request.foo == 1",
            policies.BOOL,
            "compilation failed: ERROR: <input>:1:8: undefined field 'foo'\n | request.foo == 1\n | .......^",
            id="field",
        ),
        pytest.param(
            "1 == params.x.y",
            policies.BOOL,
            "compilation failed: ERROR: <input>:1:6: undeclared reference to 'params' "
            "(in container '')\n | 1 == params.x.y\n | .....^",
            id="name",
        ),
        pytest.param(
            "Object{a: Object.b{c: 1}}x",
            policies.CONFIGURATION,
            "compilation failed: ERROR: <input>:1:26: Syntax error: extraneous input 'x' "
            "expecting <EOF>\n | Object{a: Object.b{c: 1}}x\n | .........................^",
            id="syntax",
        ),
    ],
)
def test_expressions_that_do_not_fit(expression: str, gives: str, why: str) -> None:
    assert policies.problem(expression, gives) == why


def test_variables_have_the_type_of_their_expression() -> None:
    sort, problem = policies.variable_type("'a' + 'b'", has_params=False, variables={})
    assert (sort, problem) == ("string", "")
    assert policies.problem("variables.v", policies.STRING, variables={"v": sort}) == ""
    assert "undefined field 'w'" in policies.problem(
        "variables.w", policies.STRING, variables={"v": sort}
    )


def test_a_variable_that_does_not_compile_has_any_type() -> None:
    sort, problem = policies.variable_type("1 +", has_params=False, variables={})
    assert sort == "dyn"
    assert problem.startswith("compilation failed: ERROR: <input>:1:4: Syntax error")


def test_parameters_are_known_only_where_there_are_some() -> None:
    assert policies.problem("params.x == 1", policies.BOOL, has_params=True) == ""
    assert policies.problem("params.x == 1", policies.BOOL) != ""


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        pytest.param('device.driver == "d"', "", id="driver"),
        pytest.param('device.attributes["d"].flag', "", id="unknown-type"),
        pytest.param(
            'cel.bind(d, device.capacity["d"], d.memory.compareTo(quantity("1Gi")) >= 0)',
            "",
            id="bindings",
        ),
        pytest.param(
            "device.driver", "must evaluate to bool or the unknown type, not string", id="text"
        ),
        pytest.param(
            "device.name == 'x'",
            "compilation failed: ERROR: <input>:1:7: undefined field 'name'\n | device.name == 'x'\n | ......^",
            id="field",
        ),
    ],
)
def test_expressions_that_select_devices(expression: str, why: str) -> None:
    assert devices.problem(expression) == why
