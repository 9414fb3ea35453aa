"""Objects that expressions build, as maps and back as plain data."""

from typing import Any

import pytest

from controlplane.api.cel.construction import ConstructionError, as_maps, built
from controlplane.api.cel.environment import DYN, Environment

ENVIRONMENT = Environment({"object": DYN}, has_bindings=True)


def made(expression: str, obj: Any = None) -> Any:
    return built(ENVIRONMENT.compile(as_maps(expression)).evaluate({"object": obj}))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param("Object{}", {}, id="empty"),
        pytest.param("Object { spec : Object.spec { n : 1 } }", {"spec": {"n": 1}}, id="spaces"),
        pytest.param(
            'Object{metadata: Object.metadata{labels: {"Object{a: 1}": "b, c: d"}}}',
            {"metadata": {"labels": {"Object{a: 1}": "b, c: d"}}},
            id="texts are left alone",
        ),
        pytest.param(
            "Object{spec: Object.spec{items: object.map(i, Object.spec.items{name: i})}}",
            {"spec": {"items": [{"name": "x"}, {"name": "y"}]}},
            id="in a loop",
        ),
        pytest.param("Object{?spec: optional.none()}", {}, id="optional"),
        pytest.param(
            "true ? Object{a: 1} : Object{spec: Object.spec{}}", {"a": 1}, id="two shapes"
        ),
        pytest.param(
            "Object{ // Object{x: 1}\n a: {'b': [1, 2]}, c: null }",
            {"a": {"b": [1, 2]}, "c": None},
            id="comments, maps and lists",
        ),
        pytest.param(
            '[JSONPatch{op: "add", path: "/a", value: Object.spec{b: 1}}]',
            [{"op": "add", "path": "/a", "value": {"b": 1}}],
            id="patch",
        ),
    ],
)
def test_what_is_built_becomes_plain_data(expression: str, value: Any) -> None:
    assert made(expression, ["x", "y"]) == value


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("Object{spec: Object.metadata{}}", id="another field"),
        pytest.param("Object{spec: Object.spec{a: [Object.spec{}]}}", id="in a list"),
        pytest.param("Object{spec: {'a': Object.a{}}}", id="in a map"),
    ],
)
def test_types_must_be_where_their_names_say(expression: str) -> None:
    with pytest.raises(ConstructionError, match="unexpected type name"):
        made(expression)
