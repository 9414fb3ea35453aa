"""Accept headers and what is answered; the tables are what a real API server of 1.36 answered to each header."""

import pytest

from controlplane.api.errors import NotAcceptable
from controlplane.apiserver.http.negotiate import (
    JSON,
    PROTOBUF,
    YAML,
    Form,
    body_type,
    check_route,
    parse_accept,
    reply_form,
    wants_pretty,
)

KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,"
    "application/json"
)
AS_TABLE = "as=Table;g=meta.k8s.io"
TABLE = {
    "none": ("", Form()),
    "any": ("*/*", Form()),
    "json": ("application/json", Form()),
    "charset": ("application/json;charset=utf-8", Form()),
    "pretty": ("application/json;pretty=1", Form(is_pretty=True)),
    "unknown_parameter": ("application/json;profile=x", Form()),
    "stream_of_a_list": ("application/json;stream=watch", Form()),
    "protobuf": ("application/vnd.kubernetes.protobuf", Form(PROTOBUF)),
    "typed_client": ("application/vnd.kubernetes.protobuf,application/json", Form(PROTOBUF)),
    "kubectl_get": (KUBECTL, Form(JSON, "Table", "v1")),
    "old_table": (f"application/json;{AS_TABLE};v=v1beta1", Form(JSON, "Table", "v1beta1")),
    "yaml": ("application/yaml", Form(YAML)),
    "yaml_table": (f"application/yaml;{AS_TABLE};v=v1", Form(YAML, "Table", "v1")),
    "metadata": (
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        Form(JSON, "PartialObjectMetadataList", "v1"),
    ),
    "protobuf_metadata": (
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        Form(PROTOBUF, "PartialObjectMetadata", "v1"),
    ),
    "unknown_version_falls_through": (
        f"application/json;{AS_TABLE};v=v2,application/json",
        Form(),
    ),
    "unknown_transform_falls_through": (
        "application/json;as=Chair;v=v1;g=meta.k8s.io,application/yaml",
        Form(YAML),
    ),
    "quality": ("application/json;q=0.1,application/yaml", Form(YAML)),
    "browser": ("text/html,application/json;q=0.9,*/*;q=0.8", Form()),
}


@pytest.mark.parametrize(("accept", "form"), TABLE.values(), ids=TABLE)
def test_reply_form(accept: str, form: Form) -> None:
    check_route(accept)
    assert reply_form(accept) == form


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Frob;g=meta.k8s.io;v=v1",
        "application/json;as=Table",
        f"application/json;{AS_TABLE};v=v2",
        "application/json;as=Table;g=x;v=v1",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        f"application/vnd.kubernetes.protobuf;{AS_TABLE};v=v1",
    ],
)
def test_a_transform_that_cannot_be_made_is_refused(accept: str) -> None:
    check_route(accept)
    with pytest.raises(NotAcceptable) as refused:
        reply_form(accept)
    assert str(refused.value) == (
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf"
    )


@pytest.mark.parametrize(
    "accept",
    [
        "application/*",
        "application/cbor",
        "application/cbor;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        "garbage",
        "text/html",
        "text/plain",
    ],
)
def test_a_type_that_no_route_makes_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refused:
        check_route(accept)
    assert str(refused.value) == (
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf"
    )


def test_a_route_of_lists_names_its_streams() -> None:
    with pytest.raises(NotAcceptable) as refused:
        check_route("text/plain", with_streams=True)
    assert str(refused.value).endswith(
        "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )


def test_a_watch_has_no_yaml() -> None:
    with pytest.raises(NotAcceptable) as refused:
        reply_form("application/yaml", is_stream=True)
    assert str(refused.value) == (
        "only the following media types are accepted: application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )
    assert reply_form("application/vnd.kubernetes.protobuf;stream=watch", is_stream=True) == Form(
        PROTOBUF
    )


def test_custom_resources_have_protobuf_of_their_metadata_only() -> None:
    with pytest.raises(NotAcceptable):
        reply_form("application/vnd.kubernetes.protobuf", has_protobuf=False)
    both = "application/vnd.kubernetes.protobuf,application/json"
    assert reply_form(both, has_protobuf=False) == Form()
    metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    assert reply_form(metadata, has_protobuf=False).media_type == PROTOBUF


def test_zero_quality_means_never() -> None:
    assert parse_accept("application/json;q=0") == []


@pytest.mark.parametrize(
    ("pretty", "agent", "wanted"),
    [
        ("", "Mozilla/5.0 (X11)", True),
        ("", "curl/8.0", True),
        ("", "kubectl/v1.36.0", False),
        ("false", "curl/8.0", False),
        ("true", "kubectl/v1.36.0", True),
    ],
)
def test_people_get_it_indented(pretty: str, agent: str, wanted: bool) -> None:
    assert wants_pretty(pretty, agent) is wanted


def test_body_without_content_type_is_json() -> None:
    assert body_type("") == JSON
    assert body_type("Application/YAML; charset=utf-8") == YAML
