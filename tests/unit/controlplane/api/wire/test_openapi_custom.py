"""How schemas of custom resources stand in OpenAPI documents."""

from typing import Any

import pytest

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.api.schema import builtin
from controlplane.api.wire import openapi_custom

ROW = Resource("stable.example.com", "v1", "Tab", "tabs")
STRING = {"type": "string"}
PRESERVES = {"x-kubernetes-preserve-unknown-fields": True}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def made(schema: dict[str, Any], version: int) -> dict[str, Any]:
    kind = Kind(ROW, own_schema=builtin.Schema(builtin.registry(), schema))
    found: dict[str, Any] = openapi_custom.definitions(kind, version)["com.example.stable.v1.Tab"]
    return found


@pytest.mark.parametrize(
    ("schema", "second"),
    [
        pytest.param(STRING, STRING, id="plain"),
        pytest.param({**STRING, "nullable": True}, {}, id="nullable"),
        pytest.param({**of(a=STRING), **PRESERVES}, PRESERVES, id="keeps_unknown_fields"),
        pytest.param({"type": "array"}, {}, id="list_without_items"),
        pytest.param({**STRING, "anyOf": [{"pattern": "a"}]}, STRING, id="combination"),
        pytest.param(
            {**of(a={**STRING, "nullable": True}, b=STRING), "required": ["a", "b"]},
            {"type": "object", "properties": {"a": {}, "b": STRING}, "required": ["b"]},
            id="required_but_nullable",
        ),
    ],
)
def test_the_second_version_has_fewer_words(schema: dict[str, Any], second: dict[str, Any]) -> None:
    assert made(of(spec=schema), 2)["properties"]["spec"] == second
    assert made(of(spec=schema), 3)["properties"]["spec"] == schema


def test_a_root_that_keeps_unknown_fields_names_none_in_the_second_version() -> None:
    found = made({**of(spec=STRING), **PRESERVES}, 2)
    assert set(found) == {"type", "x-kubernetes-group-version-kind"}


def test_an_embedded_object_has_the_fields_of_every_object() -> None:
    found = made(of(template={"type": "object", "x-kubernetes-embedded-resource": True}), 3)
    template = found["properties"]["template"]
    assert set(template["properties"]) == {"apiVersion", "kind", "metadata"}
    assert template["required"] == ["apiVersion", "kind"]


def test_built_in_kinds_have_no_definition_of_their_own() -> None:
    assert openapi_custom.definitions(Kind(ROW), 2) == {}


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_say_what_kubectl_explain_shows(version: int) -> None:
    conventions = (
        "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
    )
    assert made(of(spec=STRING), version)["properties"]["metadata"] == {
        "description": f"Standard object's metadata. More info: {conventions}#metadata",
        "$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    }
