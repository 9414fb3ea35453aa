"""Bodies in YAML: read as the original's YAML 1.1 reads them, errors with its words."""

from typing import Any

import pytest

from controlplane.api.errors import BadRequest
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.requests import body
from controlplane.testing.in_process import InProcessRequest


def parsed(text: bytes) -> Any:
    headers = {"content-type": "application/yaml"}
    incoming = InProcessRequest.of("POST", "/api/v1/namespaces/d/configmaps", text, headers=headers)
    info: Any = None
    request = Request("POST", incoming.path, info, {}, headers, incoming, body=text)
    return body.parse(request)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"a: y", {"a": True}),
        (b"a: N", {"a": False}),
        (b"name: no", {"name": False}),
        (b"a: 2020-01-01", {"a": "2020-01-01"}),
        (b"a: 1\n---\nb: 2\n", {"a": 1}),
        (b"", None),
        (b"2: a\ntrue: b\n", {"2": "a", "true": "b"}),
    ],
    ids=["y", "N", "no", "dates are text", "the first document", "nothing", "keys are text"],
)
def test_values(text: bytes, value: Any) -> None:
    assert parsed(text) == value


def test_a_problem_is_told_with_its_line() -> None:
    with pytest.raises(BadRequest) as refused:
        parsed(b"a: [\n")
    assert refused.value.message == (
        "error converting YAML to JSON: yaml: line 1: did not find expected node content"
    )
