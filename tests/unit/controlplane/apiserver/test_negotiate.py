"""Accept headers and what is answered."""

import pytest

from controlplane.api.errors import NotAcceptable
from controlplane.apiserver.http.negotiate import (
    JSON,
    YAML,
    Form,
    body_type,
    parse_accept,
    reply_form,
)

KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,"
    "application/json"
)
TABLE = {
    "none": ("", Form()),
    "any": ("*/*", Form()),
    "typed_client": ("application/vnd.kubernetes.protobuf,application/json", Form()),
    "kubectl_get": (KUBECTL, Form(JSON, "Table", "v1")),
    "yaml": ("application/yaml", Form(YAML)),
    "metadata": (
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        Form(JSON, "PartialObjectMetadataList", "v1"),
    ),
    "unknown_transform_falls_through": (
        "application/json;as=Chair;v=v1;g=meta.k8s.io,application/yaml",
        Form(YAML),
    ),
    "quality": ("application/json;q=0.1,application/yaml", Form(YAML)),
}


@pytest.mark.parametrize(("accept", "form"), TABLE.values(), ids=TABLE)
def test_reply_form(accept: str, form: Form) -> None:
    assert reply_form(accept) == form


@pytest.mark.parametrize("accept", ["text/html", "application/vnd.kubernetes.protobuf"])
def test_what_cannot_be_made_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        reply_form(accept)


def test_zero_quality_means_never() -> None:
    assert parse_accept("application/json;q=0") == []


def test_body_without_content_type_is_json() -> None:
    assert body_type("") == JSON
    assert body_type("Application/YAML; charset=utf-8") == YAML
