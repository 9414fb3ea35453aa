"""Which lists of kinds that are not served are answered as empty."""

import json

import pytest

from controlplane.apiserver.documents import not_served
from controlplane.apiserver.http.info import parse

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def test_there_are_no_custom_resource_definitions() -> None:
    response = not_served.answer(parse("GET", DEFINITIONS))
    assert response is not None
    assert response.status == 200
    content = json.loads(response.body)
    assert content["kind"] == "CustomResourceDefinitionList"
    assert content["apiVersion"] == "apiextensions.k8s.io/v1"
    assert content["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "is_watch"),
    [
        ("POST", DEFINITIONS, False),
        ("GET", DEFINITIONS, True),
        ("GET", DEFINITIONS + "/widgets.example.com", False),
        ("DELETE", DEFINITIONS, False),
        ("GET", "/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions", False),
        ("GET", "/apis/batch/v1/jobs", False),
    ],
)
def test_all_else_is_not_found(method: str, path: str, is_watch: bool) -> None:
    assert not_served.answer(parse(method, path, is_watch=is_watch)) is None
