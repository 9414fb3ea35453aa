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


def problems_of(text: bytes) -> list[str]:
    headers = {"content-type": "application/yaml"}
    incoming = InProcessRequest.of("POST", "/api/v1/namespaces/d/configmaps", text, headers=headers)
    info: Any = None
    request = Request("POST", incoming.path, info, {}, headers, incoming, body=text)
    return body.parse(request)[1]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"a: 1\nb: 2\n", []),
        (b"\na: 1\nb:\n  c: 1\n  c: 2\n", ['line 5: key "c" already set in map']),
        (b"a: 1\na: 2\na: 3\n", [f'line {n}: key "a" already set in map' for n in (2, 3)]),
        (b"n: 1\nN: 2\n", ["line 2: key false already set in map"]),
        (b'{"a":1,\n"a":2}', ['line 2: key "a" already set in map']),
    ],
    ids=["none", "below", "three times", "no text", "JSON"],
)
def test_keys_that_stand_twice_are_told_with_their_lines(text: bytes, lines: list[str]) -> None:
    # Found by the conformance suite: an apply with fieldValidation=Strict took them.
    found = problems_of(text)
    assert found == (["\n  ".join(["yaml: unmarshal errors:", *lines])] if lines else [])
    assert body.as_warnings([f"error converting YAML to JSON: {one}" for one in found]) == lines
