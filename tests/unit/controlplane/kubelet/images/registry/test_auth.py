"""Who asks a registry."""

import base64
import json
from typing import Any

import pytest

from controlplane.kubelet.images.registry.auth import (
    Challenge,
    Credential,
    credentials_of,
    matching,
    parse_challenge,
)


def encoded(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


AUTH = base64.b64encode(b"jane:se:cret").decode()
JANE = Credential("registry.example.com", "jane", "se:cret")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull"',
            Challenge(
                "bearer",
                {
                    "realm": "https://auth.example.com/token",
                    "service": "r",
                    "scope": "repository:a/b:pull",
                },
            ),
        ),
        ('Basic realm="files"', Challenge("basic", {"realm": "files"})),
        ("BEARER realm=x", Challenge("bearer", {"realm": "x"})),
        ("", Challenge("", {})),
    ],
    ids=["bearer", "basic", "unquoted", "none"],
)
def test_challenges(header: str, expected: Challenge) -> None:
    assert parse_challenge(header) == expected


def config(entries: Any) -> dict[str, Any]:
    return {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": encoded({"auths": entries})},
    }


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (config({"registry.example.com": {"auth": AUTH}}), [JANE]),
        (config({"https://registry.example.com/v2/": {"username": "jane", "password": "se:cret"}}),
         [JANE]),
        ({"type": "kubernetes.io/dockercfg",
          "data": {".dockercfg": encoded({"registry.example.com": {"auth": AUTH}})}}, [JANE]),
        (config({"https://index.docker.io/v1/": {"auth": AUTH}}),
         [Credential("docker.io", "jane", "se:cret")]),
        (config({"registry.example.com": {"auth": "%%"}}), []),
        ({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "bm8="}}, []),
        ({}, []),
    ],
    ids=["auth", "pair", "old_form", "docker_hub", "damaged_entry", "damaged", "empty"],
)  # fmt: skip
def test_secrets(secret: dict[str, Any], expected: list[Credential]) -> None:
    assert credentials_of(secret) == expected


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ("registry.example.com", True),
        ("*.example.com", True),
        ("*.com", False),
        ("registry.example.com/team", True),
        ("registry.example.com/te", False),
        ("registry.example.com/team/app", True),
        ("registry.example.com:5000", False),
    ],
)
def test_places(place: str, fits: bool) -> None:
    one = Credential(place, "a", "b")
    assert matching([one], "registry.example.com", "team/app") == ([one] if fits else [])


def test_the_most_specific_comes_first() -> None:
    host, path = Credential("r.io", "a", "b"), Credential("r.io/team", "c", "d")
    assert matching([host, path], "r.io", "team/app") == [path, host]
    assert path.basic() == "Basic " + base64.b64encode(b"c:d").decode()
