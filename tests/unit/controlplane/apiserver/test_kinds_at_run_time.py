"""A kind that comes while the server runs, and whose bare name a built-in kind has too, is served by its own rules."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.schema import builtin
from controlplane.api.strategy import SpecStrategy
from controlplane.apiserver.app import build_chain, build_server
from controlplane.apiserver.bootstrap import loop as bootstrap
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, StreamResponse, Upgrade
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

KNATIVE = Resource(
    "serving.knative.dev",
    "v1",
    "Service",
    "services",
    short_names=("ksvc",),
    storage="serving.knative.dev/services",
    subresources=(STATUS,),
)
SCHEMA = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
        "spec": {
            "type": "object",
            "properties": {
                "template": {"type": "object", "properties": {"image": {"type": "string"}}},
                "traffic": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"percent": {"type": "integer"}}},
                },
            },
        },
        "status": {"type": "object", "properties": {"url": {"type": "string"}}},
    },
}
SERVICES = "/apis/serving.knative.dev/v1/namespaces/default/services"


def _whole(obj: Obj) -> list[Cause]:
    total = sum(row.get("percent", 0) for row in (obj.get("spec") or {}).get("traffic") or ())
    return (
        []
        if total in (0, 100)
        else [Cause("spec.traffic", "must add up to 100", "FieldValueInvalid")]
    )


class Api:
    """The server without its edge."""

    def __init__(self) -> None:
        self.server = build_server(
            ApiServerConfig(), MemoryStorage(), SystemClock(), random.Random(1)
        )
        self._chain = build_chain(self.server)

    async def answer(self, method: str, url: str, body: Any = None) -> Response | StreamResponse:
        answer = await self._chain.handle(InProcessRequest.of(method, url, body))
        assert not isinstance(answer, Upgrade)
        return answer

    async def call(self, method: str, url: str, body: Any = None) -> tuple[int, Obj]:
        answer = await self.answer(method, url, body)
        assert isinstance(answer, Response)
        # What is no part of the API is answered in plain text.
        is_json = answer.body.startswith(b"{")
        return answer.status, json.loads(answer.body) if is_json else {}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    made.server.caches.start()
    await bootstrap.bootstrap(made.server)
    yield made
    await made.server.caches.stop()


@pytest.fixture
def knative(api: Api) -> Kind:
    kind = Kind(
        KNATIVE,
        strategy=SpecStrategy,
        validate=_whole,
        own_schema=builtin.Schema(builtin.registry(), SCHEMA),
    )
    api.server.serve(api.server.scheme.with_kinds(kind))
    return kind


def _service(name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": {"image": "x"}, **spec},
    }


async def test_it_is_not_served_before(api: Api) -> None:
    assert (await api.call("GET", SERVICES))[0] == 404


async def test_nothing_of_the_core_service_is_done_to_it(api: Api, knative: Kind) -> None:
    code, made = await api.call("POST", SERVICES, _service("a.b"))
    # A name that core's services may not have, no ports, no type, no cluster IP.
    assert code == 201, made
    assert made["spec"] == {"template": {"image": "x"}}
    assert made["metadata"]["generation"] == 1
    assert [row["manager"] for row in made["metadata"]["managedFields"]] == ["unknown"]
    assert (await api.call("GET", "/api/v1/namespaces/default/services/a.b"))[0] == 404


async def test_its_own_schema_and_rules_judge(api: Api, knative: Kind) -> None:
    code, status = await api.call("POST", SERVICES, _service("a", traffic="all"))
    assert (code, status["reason"]) == (400, "BadRequest")
    strict = SERVICES + "?fieldValidation=Strict"
    code, status = await api.call("POST", strict, _service("a", ports=[{"port": 80}]))
    assert (code, 'unknown field "spec.ports"' in status["message"]) == (400, True)
    code, status = await api.call("POST", SERVICES, _service("a", traffic=[{"percent": 50}]))
    assert (code, status["details"]["causes"][0]["field"]) == (422, "spec.traffic")
    assert status["details"]["group"] == "serving.knative.dev"


async def test_unknown_fields_are_dropped(api: Api, knative: Kind) -> None:
    _, made = await api.call("POST", SERVICES, _service("a", ports=[{"port": 80}]))
    assert made["spec"] == {"template": {"image": "x"}}


async def test_it_is_listed_watched_and_discovered(api: Api, knative: Kind) -> None:
    answer = await api.answer("GET", SERVICES + "?watch=true")
    assert isinstance(answer, StreamResponse)
    assert await anext(answer.chunks) == b""
    await api.call("POST", SERVICES, _service("a"))
    async with asyncio.timeout(5):
        event = json.loads(await anext(answer.chunks))
    await answer.chunks.aclose()  # type: ignore[attr-defined]
    assert (event["type"], event["object"]["apiVersion"]) == ("ADDED", "serving.knative.dev/v1")
    _, listed = await api.call("GET", SERVICES)
    assert [one["metadata"]["name"] for one in listed["items"]] == ["a"]
    _, groups = await api.call("GET", "/apis")
    assert "serving.knative.dev" in {group["name"] for group in groups["groups"]}
    _, documents = await api.call("GET", "/openapi/v3")
    assert "apis/serving.knative.dev/v1" in documents["paths"]


async def test_another_schema_takes_effect_at_once_and_leaves_the_others_alone(
    api: Api, knative: Kind
) -> None:
    pods = next(row for row in api.server.scheme if row.plural == "pods")
    before = api.server.registries[pods]
    lax = Kind(KNATIVE, own_schema=builtin.Schema(builtin.registry(), SCHEMA))
    api.server.serve(api.server.scheme.with_kinds(lax))
    code, _ = await api.call("POST", SERVICES, _service("a", traffic=[{"percent": 50}]))
    assert code == 201
    assert api.server.registries[pods] is before


async def test_it_goes_as_it_came(api: Api, knative: Kind) -> None:
    await api.call("POST", SERVICES, _service("a"))
    api.server.serve(api.server.scheme.without(KNATIVE))
    assert (await api.call("GET", SERVICES + "/a"))[0] == 404
    _, groups = await api.call("GET", "/apis")
    assert "serving.knative.dev" not in {group["name"] for group in groups["groups"]}
