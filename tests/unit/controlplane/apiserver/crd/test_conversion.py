"""Conversion by webhook: what is asked, what an answer may change, and objects read and written in both versions."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.apiserver.callouts.client import CallError
from controlplane.apiserver.callouts.target import Target
from controlplane.apiserver.crd.conversion import WebhookConverter
from controlplane.apiserver.http.messages import Response, StreamResponse
from controlplane.kinds.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

V1, V2 = "stable.example.com/v1", "stable.example.com/v2"
PATHS = {one: f"/apis/{one}/namespaces/default/hosts" for one in (V1, V2)}


def definition(storage: str = "v1") -> Obj:
    fields = {"v1": ("hostPort",), "v2": ("host", "port")}
    webhook = {
        "clientConfig": {"url": "https://hook.example.com/convert"},
        "conversionReviewVersions": ["v1"],
    }
    return {
        "metadata": {"name": "hosts.stable.example.com", "uid": "u"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {"plural": "hosts", "singular": "host", "kind": "Host"},
            "conversion": {"strategy": "Webhook", "webhook": webhook},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == storage,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {field: {"type": "string"} for field in fields[name]},
                        }
                    },
                    "selectableFields": [{"jsonPath": f".{field}"} for field in fields[name]],
                }
                for name in ("v1", "v2")
            ],
        },
    }


def host(version: str = V1, name: str = "a", **fields: Any) -> Obj:
    return {"apiVersion": version, "kind": "Host", "metadata": {"name": name}, **fields}


def converted(obj: Obj, version: str) -> Obj:
    """v1 has `hostPort`, v2 has `host` and `port`."""
    made = {**meta.copy_of(obj), "apiVersion": version}
    if version == V2 and "hostPort" in made:
        made["host"], made["port"] = made.pop("hostPort").split(":")
    elif version == V1 and "host" in made:
        made["hostPort"] = f"{made.pop('host')}:{made.pop('port')}"
    return made


class Webhook:
    """Answers as a conversion webhook; `spoil` changes the answer."""

    def __init__(self) -> None:
        self.asked: list[Obj] = []
        self.spoil: Any = lambda review: review
        self.error: CallError | None = None

    async def post(self, target: Target, body: bytes, seconds: float) -> Any:
        request = json.loads(body)["request"]
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        version = request["desiredAPIVersion"]
        return self.spoil(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "ConversionReview",
                "response": {
                    "uid": request["uid"],
                    "result": {"status": "Success"},
                    "convertedObjects": [converted(obj, version) for obj in request["objects"]],
                },
            }
        )


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


def converter(webhook: Webhook) -> WebhookConverter:
    return WebhookConverter(definition(), webhook.post, random.Random(1))


async def test_only_objects_of_other_versions_are_asked_about(webhook: Webhook) -> None:
    objects = [host(V2, "a"), host(V1, "b", hostPort="h:1"), host(V2, "c")]
    made = await converter(webhook).convert(objects, V2)
    assert [meta.name(obj) for obj in made] == ["a", "b", "c"]
    assert made[1] == host(V2, "b", host="h", port="1")
    assert [[meta.name(obj) for obj in one["objects"]] for one in webhook.asked] == [["b"]]
    assert await converter(webhook).convert(made, V2) == made
    assert len(webhook.asked) == 1


async def test_a_state_of_an_object_is_asked_about_once(webhook: Webhook) -> None:
    one = converter(webhook)
    stored = host(V1, hostPort="h:1")
    stored["metadata"] |= {"uid": "u", "resourceVersion": "5"}
    first = await one.stored([stored], V2)
    first[0]["host"] = "mine"
    assert (await one.stored([stored], V2))[0]["host"] == "h"
    assert len(webhook.asked) == 1
    stored["metadata"]["resourceVersion"] = "6"
    await one.stored([stored], V2)
    assert len(webhook.asked) == 2


async def test_of_metadata_only_labels_and_annotations_are_taken(webhook: Webhook) -> None:
    def spoil(review: Obj) -> Obj:
        metadata = review["response"]["convertedObjects"][0]["metadata"]
        metadata |= {"labels": {"new": "1"}, "finalizers": ["x/y"], "generation": 9}
        return review

    webhook.spoil = spoil
    (made,) = await converter(webhook).convert([host(V1)], V2)
    assert made["metadata"] == {"name": "a", "labels": {"new": "1"}}


def _set(review: Obj, path: str, value: Any) -> Obj:
    *steps, last = path.split(".")
    place: Any = review
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return review


FIRST = "response.convertedObjects.0"


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        pytest.param("response", None, "failed: no response provided", id="nothing"),
        pytest.param(
            "kind",
            "Other",
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
            "got apiextensions.k8s.io/v1, Kind=Other",
            id="kind of review",
        ),
        pytest.param("response.uid", "other", "failed: expected response.uid=", id="uid"),
        pytest.param(
            "response.result",
            {"status": "Failed", "message": "cannot"},
            "failed: cannot",
            id="refusal",
        ),
        pytest.param(
            "response.result",
            {"status": "Failed"},
            "failed: response.result.status was 'Failed', not 'Success'",
            id="refusal without words",
        ),
        pytest.param(
            "response.convertedObjects", [], "returned 0 objects, expected 1", id="too few"
        ),
        pytest.param(
            f"{FIRST}.apiVersion",
            V1,
            f"returned invalid object at index 0: invalid groupVersion (expected {V2}, "
            f"received {V1})",
            id="version",
        ),
        pytest.param(
            f"{FIRST}.kind",
            "Guest",
            "returned invalid object at index 0: invalid kind (expected Host, received Guest)",
            id="kind",
        ),
        pytest.param(
            f"{FIRST}.metadata.name",
            "b",
            "returned invalid object: must have the same name: a != b",
            id="name",
        ),
        pytest.param(
            f"{FIRST}.metadata",
            None,
            "returned invalid metadata: missing metadata in converted object",
            id="no metadata",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_is_told(
    webhook: Webhook, path: str, value: Any, why: str
) -> None:
    webhook.spoil = lambda review: _set(review, path, value)
    with pytest.raises(APIError) as failed:
        await converter(webhook).convert([host(V1)], V2)
    start = f"conversion webhook for {V1}, Kind=Host {why}"
    assert failed.value.message.startswith(start)
    assert failed.value.status_code == 500


# ---- in the server ----


@pytest.fixture
async def server(webhook: Webhook) -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        running.app.server.webhooks.post = webhook.post  # type: ignore[method-assign]
        await running.client().create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        yield running


async def ask(server: InProcessServer, method: str, path: str, content: object = None) -> Obj:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    if method == "APPLY":
        method, kind = "PATCH", "application/apply-patch+yaml"
    answer = await server.ask(
        InProcessRequest.of(method, path, content, headers={"content-type": kind})
    )
    assert isinstance(answer, Response)
    found: Obj = json.loads(answer.body)
    return found


async def test_objects_are_read_and_written_in_both_versions(server: InProcessServer) -> None:
    made = await ask(server, "POST", PATHS[V2], host(V2, host="h", port="1"))
    assert (made["apiVersion"], made["host"], made["port"]) == (V2, "h", "1")
    read = await ask(server, "GET", f"{PATHS[V1]}/a")
    assert (read["apiVersion"], read["hostPort"]) == (V1, "h:1")
    changed = await ask(server, "PATCH", f"{PATHS[V2]}/a", {"port": "2"})
    assert (changed["apiVersion"], changed["port"]) == (V2, "2")
    applied = await ask(
        server, "APPLY", f"{PATHS[V1]}/a?fieldManager=m&force=true", host(V1, hostPort="i:3")
    )
    assert applied["hostPort"] == "i:3"
    listed = await ask(server, "GET", PATHS[V2])
    assert [(one["host"], one["port"]) for one in listed["items"]] == [("i", "3")]
    # A write that changes nothing is none, in whatever version.
    before = (await ask(server, "GET", f"{PATHS[V1]}/a"))["metadata"]["resourceVersion"]
    again = await ask(server, "PATCH", f"{PATHS[V2]}/a", {"port": "3"})
    assert again["metadata"]["resourceVersion"] == before


async def test_objects_of_an_earlier_storage_version_are_converted_when_read(
    server: InProcessServer,
) -> None:
    await ask(server, "POST", PATHS[V1], host(V1, "old", hostPort="h:1"))
    client = server.client()
    live = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "hosts.stable.example.com")
    live["spec"]["versions"] = definition("v2")["spec"]["versions"]
    await client.update(CUSTOM_RESOURCE_DEFINITIONS, live)
    await ask(server, "POST", PATHS[V1], host(V1, "new", hostPort="h:2"))
    for version, wanted in ((V1, ["h:2", "h:1"]), (V2, ["2", "1"])):
        listed = await ask(server, "GET", PATHS[version])
        assert {one["apiVersion"] for one in listed["items"]} == {version}
        field = "hostPort" if version == V1 else "port"
        assert [one[field] for one in listed["items"]] == wanted


async def test_a_watch_shows_the_version_it_asks_for(server: InProcessServer) -> None:
    await ask(server, "POST", PATHS[V1], host(V1, hostPort="h:1"))
    await server.app.server.caches.wait_current()
    answer = await server.ask(
        InProcessRequest.of("GET", f"{PATHS[V2]}?watch=true&resourceVersion=0")
    )
    assert isinstance(answer, StreamResponse)
    chunks = answer.chunks
    first = json.loads(await anext(chunks))
    assert (first["type"], first["object"]["host"]) == ("ADDED", "h")
    await ask(server, "PATCH", f"{PATHS[V1]}/a", {"hostPort": "i:2"})
    second = json.loads(await anext(chunks))
    assert (second["type"], second["object"]["host"]) == ("MODIFIED", "i")
    await chunks.aclose()  # type: ignore[attr-defined]


async def test_selectors_mean_the_fields_of_the_version_asked_for(server: InProcessServer) -> None:
    for name, place in (("a", "h:1"), ("b", "h:2"), ("c", "i:1")):
        await ask(server, "POST", PATHS[V1], host(V1, name, hostPort=place))
    await server.app.server.caches.wait_current()
    answer = await server.ask(
        InProcessRequest.of("GET", f"{PATHS[V2]}?watch=true&fieldSelector=host%3Dh")
    )
    assert isinstance(answer, StreamResponse)
    lines = (await anext(answer.chunks)).splitlines()
    seen = [(one["type"], one["object"]["metadata"]["name"]) for one in map(json.loads, lines)]
    assert seen == [("ADDED", "a"), ("ADDED", "b")]
    listed = await ask(server, "GET", f"{PATHS[V2]}?fieldSelector=host%3Dh,port%3D2")
    assert [meta.name(one) for one in listed["items"]] == ["b"]
    await ask(server, "PATCH", f"{PATHS[V1]}/b", {"hostPort": "i:2"})
    gone = json.loads(await anext(answer.chunks))
    # What no longer matches is told as it was.
    assert (gone["type"], gone["object"]["host"], gone["object"]["port"]) == ("DELETED", "h", "2")
    await ask(server, "DELETE", f"{PATHS[V2]}?fieldSelector=host%3Di")
    listed = await ask(server, "GET", PATHS[V2])
    assert [meta.name(one) for one in listed["items"]] == ["a"]
    await answer.chunks.aclose()  # type: ignore[attr-defined]


async def test_what_cannot_be_converted_is_told_as_upstream_does(
    server: InProcessServer, webhook: Webhook
) -> None:
    await ask(server, "POST", PATHS[V1], host(V1, hostPort="h:1"))
    webhook.error = CallError('Post "https://hook.example.com/convert?timeout=30s": EOF')
    told = await ask(server, "GET", f"{PATHS[V2]}/a")
    assert (told["code"], told["message"]) == (
        500,
        f"conversion webhook for {V1}, Kind=Host failed: Post "
        '"https://hook.example.com/convert?timeout=30s": EOF',
    )
    assert (await ask(server, "GET", f"{PATHS[V1]}/a"))["hostPort"] == "h:1"
