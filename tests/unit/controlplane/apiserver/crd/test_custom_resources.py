"""Definitions made through the API are served, obeyed and, when they go, take their objects along."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.app import ApiServer
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, StreamResponse
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABS = "/apis/demo.example.com/v1/namespaces/default/tabs"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
SPEC = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "default": "fast"},
        "replicas": {"type": "integer"},
    },
    "required": ["n"],
    "x-kubernetes-validations": [
        {"rule": "self.n < 100", "message": "n is too large"},
        {"rule": "!has(oldSelf.mode) || self.mode == oldSelf.mode", "message": "mode is immutable"},
    ],
}
STATUS = {
    "type": "object",
    "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
}


def definition(plural: str = "tabs", kind: str = "Tab", **names: Any) -> Obj:
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": [
            {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.mode"}],
    }
    other = {**version, "name": "v2", "storage": False}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.demo.example.com"},
        "spec": {
            "group": "demo.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **names},
            "versions": [version, other],
        },
    }


def tab(name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": "demo.example.com/v1",
        "kind": "Tab",
        "metadata": {"name": name},
        "spec": {"n": 3, **spec},
    }


class Api:
    """One API server over a store that may be shared with others."""

    def __init__(self, storage: MemoryStorage, seed: int = 1) -> None:
        self.server = ApiServer(ApiServerConfig(), storage, SystemClock(), random.Random(seed))

    async def call(
        self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Obj]:
        request = InProcessRequest.of(method, url, body)
        request.headers = {**request.headers, **(headers or {})}
        answer = await self.server.chain.handle(request)
        assert isinstance(answer, Response)
        # What is no part of the API is answered in plain text.
        is_json = answer.body.startswith(b"{")
        return answer.status, json.loads(answer.body) if is_json else {}

    async def until(self, url: str, holds: Callable[[int, Obj], bool]) -> Obj:
        """The answer at `url` once it is as wanted."""
        async with asyncio.timeout(10):
            while True:
                code, found = await self.call("GET", url)
                if holds(code, found):
                    return found
                await asyncio.sleep(0.01)

    async def define(self, crd: Obj) -> Obj:
        code, made = await self.call("POST", CRDS, crd)
        assert code == 201, made
        return await self.until(f"{CRDS}/{crd['metadata']['name']}", has("Established", "True"))


def has(kind: str, status: str) -> Callable[[int, Obj], bool]:
    return lambda code, obj: any(
        row["type"] == kind and row["status"] == status
        for row in (obj.get("status") or {}).get("conditions") or ()
    )


def is_gone(code: int, obj: Obj) -> bool:
    return code == 404


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api(MemoryStorage())
    await made.server.start(listens=False)
    async with asyncio.timeout(10):
        await made.server.server.bootstrapped.wait()
    yield made
    await made.server.stop()


async def test_a_definition_is_accepted_and_says_so(api: Api) -> None:
    crd = await api.define(definition(shortNames=["tb"]))
    assert crd["status"]["acceptedNames"] == {
        "plural": "tabs",
        "singular": "tab",
        "kind": "Tab",
        "listKind": "TabList",
        "shortNames": ["tb"],
    }
    assert crd["status"]["storedVersions"] == ["v1"]
    reasons = {row["type"]: row["reason"] for row in crd["status"]["conditions"]}
    assert reasons == {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}


async def test_names_of_one_group_are_given_once(api: Api) -> None:
    await api.define(definition(shortNames=["tb"]))
    code, _ = await api.call("POST", CRDS, definition("tabz", "Tab", shortNames=["tb"]))
    assert code == 201
    crd = await api.until(f"{CRDS}/tabz.demo.example.com", has("NamesAccepted", "False"))
    rows = {row["type"]: row for row in crd["status"]["conditions"]}
    assert rows["Established"]["status"] == "False"
    assert "is already in use" in rows["NamesAccepted"]["message"]
    assert (await api.call("GET", TABS.replace("tabs", "tabz")))[0] == 404


async def test_objects_are_pruned_defaulted_and_validated(api: Api) -> None:
    await api.define(definition())
    code, made = await api.call("POST", TABS, tab("a", colour="red"))
    assert code == 201
    assert made["spec"] == {"n": 3, "mode": "fast"}
    assert made["metadata"]["generation"] == 1
    code, status = await api.call("POST", TABS, tab("b", n=0))
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["message"] == (
        'Tab.demo.example.com "b" is invalid: spec.n: Invalid value: 0: spec.n in body should be '
        "greater than or equal to 1"
    )
    code, status = await api.call("POST", TABS, tab("b", n=100))
    assert [cause["message"] for cause in status["details"]["causes"]] == [
        "Invalid value: n is too large"
    ]
    code, status = await api.call("POST", TABS, tab("b", n="three"))
    assert (code, status["details"]["causes"][0]["reason"]) == (422, "FieldValueTypeInvalid")


async def test_an_update_is_held_against_what_was_before(api: Api) -> None:
    await api.define(definition())
    _, made = await api.call("POST", TABS, tab("a"))
    made["spec"]["mode"] = "slow"
    code, status = await api.call("PUT", f"{TABS}/a", made)
    assert (code, "mode is immutable" in status["message"]) == (422, True)
    made["spec"] = {"n": 4, "mode": "fast"}
    code, made = await api.call("PUT", f"{TABS}/a", made)
    assert (code, made["metadata"]["generation"]) == (200, 2)


async def test_status_and_scale_are_paths_of_their_own(api: Api) -> None:
    await api.define(definition())
    _, made = await api.call("POST", TABS, {**tab("a", replicas=2), "status": {"replicas": 9}})
    assert "status" not in made
    made["status"] = {"replicas": 2, "selector": "app=a"}
    code, made = await api.call("PUT", f"{TABS}/a/status", made)
    wanted = {"replicas": 2, "selector": "app=a"}
    assert (code, made["status"], made["metadata"]["generation"]) == (200, wanted, 1)
    code, scale = await api.call("GET", f"{TABS}/a/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, wanted)
    scale["spec"]["replicas"] = 5
    code, _ = await api.call("PUT", f"{TABS}/a/scale", scale)
    assert code == 200
    assert (await api.call("GET", f"{TABS}/a"))[1]["spec"]["replicas"] == 5


async def test_all_versions_show_the_same_objects(api: Api) -> None:
    await api.define(definition())
    await api.call("POST", TABS, tab("a"))
    second = TABS.replace("/v1/", "/v2/") + "/a"
    code, found = await api.call("GET", second)
    assert (code, found["apiVersion"], found["spec"]["n"]) == (200, "demo.example.com/v2", 3)
    found["spec"]["n"] = 7
    assert (await api.call("PUT", second, found))[0] == 200
    code, found = await api.call("GET", f"{TABS}/a")
    assert (found["apiVersion"], found["spec"]["n"]) == ("demo.example.com/v1", 7)


async def test_tables_and_selectors_follow_the_definition(api: Api) -> None:
    await api.define(definition())
    await api.call("POST", TABS, tab("a"))
    await api.call("POST", TABS, tab("b", mode="slow"))
    _, table = await api.call("GET", TABS, headers={"accept": TABLE})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "N", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [["a", 3], ["b", 3]]
    _, found = await api.call("GET", f"{TABS}?fieldSelector=spec.mode%3Dslow")
    assert [item["metadata"]["name"] for item in found["items"]] == ["b"]


async def test_discovery_shows_the_kind_at_once(api: Api) -> None:
    await api.define(definition(shortNames=["tb"], categories=["all"]))
    _, found = await api.call("GET", "/apis/demo.example.com/v1")
    rows = {row["name"]: row for row in found["resources"]}
    assert set(rows) == {"tabs", "tabs/status", "tabs/scale"}
    assert (rows["tabs"]["shortNames"], rows["tabs"]["categories"]) == (["tb"], ["all"])


async def test_a_second_server_knows_what_the_first_has_established() -> None:
    storage = MemoryStorage()
    servers = [Api(storage, seed) for seed in (1, 2)]
    for one in servers:
        await one.server.start(listens=False)
    try:
        for one in servers:
            async with asyncio.timeout(10):
                await one.server.server.bootstrapped.wait()
        for number in range(5):
            await servers[0].define(definition(f"tab{number}s", f"Tab{number}"))
            code, found = await servers[1].call("GET", TABS.replace("/tabs", f"/tab{number}s"))
            assert (code, found["kind"]) == (200, f"Tab{number}List")
    finally:
        for one in servers:
            await one.server.stop()


async def test_a_definition_that_goes_takes_its_objects_along(api: Api) -> None:
    await api.define(definition())
    await api.call("POST", TABS, tab("a"))
    held = tab("b")
    held["metadata"]["finalizers"] = ["demo.example.com/hold"]
    await api.call("POST", TABS, held)
    name = f"{CRDS}/tabs.demo.example.com"
    code, crd = await api.call("DELETE", name)
    assert code == 200
    assert crd["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await api.until(f"{TABS}/a", is_gone)
    await api.until(name, has("Terminating", "True"))
    merge = {"content-type": "application/merge-patch+json"}
    patch = {"metadata": {"finalizers": None}}
    code, _ = await api.call("PATCH", f"{TABS}/b", patch, headers=merge)
    assert code == 200
    await api.until(name, is_gone)
    await api.until(TABS, is_gone)


async def test_an_object_is_read_by_the_schema_of_now(api: Api) -> None:
    await api.define(definition())
    await api.call("POST", TABS, tab("old"))
    _, crd = await api.call("GET", f"{CRDS}/tabs.demo.example.com")
    for version in crd["spec"]["versions"]:
        fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        fields["colour"] = {"type": "string", "default": "blue"}
        del fields["mode"]
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = []
        version["selectableFields"] = []
    code, _ = await api.call("PUT", f"{CRDS}/tabs.demo.example.com", crd)
    assert code == 200
    wanted = {"n": 3, "colour": "blue"}
    await api.until(f"{TABS}/old", lambda code, obj: obj["spec"] == wanted)
    await api.until(TABS, lambda code, obj: obj["items"][0]["spec"] == wanted)


async def test_documents_describe_the_kind(api: Api) -> None:
    await api.define(definition())
    name = "com.example.demo.v1.Tab"
    _, second = await api.call("GET", "/openapi/v2")
    assert second["definitions"][name]["properties"]["spec"]["required"] == ["n"]
    assert "/apis/demo.example.com/v1/namespaces/{namespace}/tabs/{name}/scale" in second["paths"]
    _, third = await api.call("GET", "/openapi/v3/apis/demo.example.com/v1")
    schemas = third["components"]["schemas"]
    assert schemas[name]["properties"]["spec"]["properties"]["n"] == {
        "type": "integer",
        "minimum": 1,
    }
    items = schemas["com.example.demo.v1.TabList"]["properties"]["items"]["items"]
    assert items == {"$ref": f"#/components/schemas/{name}"}


async def test_a_watch_from_the_first_object_on_finds_what_follows(api: Api) -> None:
    await api.define(definition())
    _, first = await api.call("POST", TABS, tab("first"))
    await api.call("POST", TABS, tab("second"))
    url = f"{TABS}?watch=true&resourceVersion={first['metadata']['resourceVersion']}"
    answer = await api.server.chain.handle(InProcessRequest.of("GET", url + "&timeoutSeconds=1"))
    assert isinstance(answer, StreamResponse)
    events = [json.loads(line) async for chunk in answer.chunks for line in chunk.splitlines()]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "second")
    ]


async def test_a_changed_schema_holds_from_then_on(api: Api) -> None:
    await api.define(definition())
    _, crd = await api.call("GET", f"{CRDS}/tabs.demo.example.com")
    for version in crd["spec"]["versions"]:
        fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        fields["colour"] = {"type": "string"}
    code, _ = await api.call("PUT", f"{CRDS}/tabs.demo.example.com", crd)
    assert code == 200
    async with asyncio.timeout(10):
        while True:
            _, made = await api.call("POST", f"{TABS}?dryRun=All", tab("a", colour="red"))
            if made["spec"].get("colour") == "red":
                break
            await asyncio.sleep(0.01)


async def test_what_no_schema_declares_is_applied_where_it_is_kept(api: Api) -> None:
    # Found by the conformance suite: an apply answered 500 "field not declared in schema".
    crd = definition()
    for version in crd["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
        del version["additionalPrinterColumns"], version["selectableFields"]
    await api.define(crd)
    body = {**tab("a"), "spec": {"unknown": "u", "ports": [{"name": "x", "containerPort": 80}]}}
    path = f"{TABS}/a?fieldManager=me&fieldValidation=Strict"
    headers = {"content-type": "application/apply-patch+yaml"}
    code, made = await api.call("PATCH", path, body, headers)
    assert (code, made.get("spec")) == (201, body["spec"]), made
    # Of what the schema does not know, maps are merged and lists are one value.
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:spec": {".": {}, "f:unknown": {}, "f:ports": {}}
    }


async def test_an_apply_that_says_a_key_twice_is_refused_where_that_is_asked_for(api: Api) -> None:
    await api.define(definition())
    text = "apiVersion: demo.example.com/v1\nkind: Tab\nmetadata:\n  name: a\nspec:\n  'n': 1\n  mode: a\n  mode: b\n"
    path, headers = f"{TABS}/a?fieldManager=me", {"content-type": "application/apply-patch+yaml"}
    code, refused = await api.call(
        "PATCH", f"{path}&fieldValidation=Strict", text.encode(), headers
    )
    message = (
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 8: key "mode" already set in map'
    )
    assert (code, refused["message"]) == (400, message)
    code, made = await api.call("PATCH", path, text.encode(), headers)
    assert (code, made["spec"]["mode"]) == (201, "b")
