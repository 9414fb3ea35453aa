"""Documents beside resources: discovery and OpenAPI, their tags, and what is no path."""

from __future__ import annotations

import json
import random

import pytest

from controlplane.apiserver.app import build_chain, build_server
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.filters.chain import Chain
from controlplane.apiserver.http.messages import Response, User
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

ADMIN = User("admin", ("system:masters",))
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture(scope="module")
def chain() -> Chain:
    return build_chain(
        build_server(ApiServerConfig(), MemoryStorage(), SystemClock(), random.Random(1))
    )


async def get(chain: Chain, path: str, *, method: str = "GET", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = InProcessRequest.of(method, path, None, user=ADMIN, headers=named)
    answer = await chain.handle(request)
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ("{tag}", 304),
        ('"other", {tag}', 304),
        ("W/{tag}", 304),
        ("*", 304),
        ('"other"', 200),
    ],
    ids=["same", "two", "weak", "star", "other"],
)
async def test_openapi_is_not_sent_again(chain: Chain, tags: str, code: int) -> None:
    first = await get(chain, "/openapi/v3/apis/coordination.k8s.io/v1")
    tag = first.headers["ETag"]
    header = tags.replace("{tag}", tag)
    again = await get(chain, "/openapi/v3/apis/coordination.k8s.io/v1", if_none_match=header)
    assert again.status == code
    if code == 304:
        assert (again.body, again.content_type) == (b"", "")


async def test_a_document_moves_with_its_hash(chain: Chain) -> None:
    index = json.loads((await get(chain, "/openapi/v3")).body)
    where = index["paths"]["apis/coordination.k8s.io/v1"]["serverRelativeURL"]
    found = await get(chain, where)
    assert (found.status, found.headers["Cache-Control"]) == (200, "public, immutable")
    moved = await get(chain, where.partition("=")[0] + "=0")
    assert (moved.status, moved.headers["Location"]) == (301, where)


async def test_openapi_v2_in_another_form_is_not_acceptable(chain: Chain) -> None:
    assert (await get(chain, "/openapi/v2", accept="text/plain")).status == 406


@pytest.mark.parametrize(
    ("tags", "code"),
    [("{tag}", 304), ("*", 200), ('"other", {tag}', 200)],
    ids=["same", "star", "two"],
)
async def test_aggregated_discovery_is_not_sent_again(chain: Chain, tags: str, code: int) -> None:
    first = await get(chain, "/apis", accept=AGGREGATED)
    assert first.content_type == AGGREGATED
    assert (first.headers["Vary"], first.headers["Cache-Control"]) == ("Accept", "public")
    header = tags.replace("{tag}", first.headers["ETag"])
    again = await get(chain, "/apis", accept=AGGREGATED, if_none_match=header)
    assert again.status == code


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (AGGREGATED.replace("v=v2", "v=v2beta1") + ",application/json", "application/json"),
        ("application/json", "application/json"),
        ("application/yaml", "application/yaml"),
        ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"),
    ],
    ids=["kubectl 1.27", "json", "yaml", "protobuf"],
)
async def test_plain_discovery(chain: Chain, accept: str, content_type: str) -> None:
    answer = await get(chain, "/apis", accept=accept)
    assert (answer.status, answer.content_type) == (200, content_type)


async def test_an_aggregated_form_that_is_gone_is_not_acceptable(chain: Chain) -> None:
    answer = await get(chain, "/apis", accept=AGGREGATED.replace("v=v2", "v=v2beta1"))
    assert answer.status == 406
    assert json.loads(answer.body)["message"] == (
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf"
    )


@pytest.mark.parametrize(
    ("method", "path", "code", "text"),
    [
        ("GET", "/frob", 404, b"404 page not found\n"),
        ("GET", "/api//v1", 404, b"the server could not find the requested resource"),
        ("HEAD", "/api/v1/namespaces/d/configmaps", 405, b"does not allow this method"),
        ("OPTIONS", "/api/v1/namespaces/d/configmaps", 405, b"does not allow this method"),
        ("DELETE", "/api/v1/configmaps", 405, b"does not allow this method"),
        ("DELETE", "/api/v1/configmaps/x", 404, b"could not find the requested resource"),
    ],
)
async def test_what_is_no_path(
    chain: Chain, method: str, path: str, code: int, text: bytes
) -> None:
    answer = await get(chain, path, method=method)
    assert answer.status == code
    assert text in answer.body
    if answer.content_type == "application/json":
        assert json.loads(answer.body)["details"] == {}


async def test_the_root_lists_paths(chain: Chain) -> None:
    paths = json.loads((await get(chain, "/")).body)["paths"]
    assert {"/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version"} <= set(paths)
    assert paths == sorted(paths)


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/livez", 200, "ok"),
        ("/livez/ping", 200, "ok"),
        ("/livez/poststarthook/rbac/bootstrap-roles", 200, "ok"),
        ("/healthz/log", 200, "ok"),
        ("/readyz/nope", 404, "404 page not found\n"),
        (
            "/readyz/poststarthook/rbac/bootstrap-roles",
            500,
            "internal server error: not finished\n",
        ),
    ],
)
async def test_checks_by_name(chain: Chain, path: str, code: int, text: str) -> None:
    answer = await get(chain, path)
    assert (answer.status, answer.body.decode()) == (code, text)


async def test_excluded_checks_are_told(chain: Chain) -> None:
    answer = await get(chain, "/livez?verbose&exclude=log&exclude=none")
    lines = answer.body.decode().splitlines()
    assert lines[:2] == ["[+]ping ok", "[+]log excluded: ok"]
    assert lines[-2:] == [
        'warn: some health checks cannot be excluded: no matches for "none"',
        "livez check passed",
    ]
