"""Whole requests, from the filters to the fake store and back, without sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.apiserver.app import build_chain, build_server
from controlplane.apiserver.bootstrap import loop as bootstrap
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import (
    ANONYMOUS,
    Response,
    StreamResponse,
    Upgrade,
    User,
)
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

Obj = dict[str, Any]

ADMIN = User("admin", ("system:masters",))
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


class Api:
    """The server without its edge."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        config = ApiServerConfig(max_writes_in_flight=2)
        self.server = build_server(config, self.storage, SystemClock(), random.Random(1))
        self.chain = build_chain(self.server)

    async def raw(
        self, method: str, url: str, body: object = None, *, user: User = ADMIN, **headers: str
    ) -> Response | StreamResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        incoming = InProcessRequest.of(method, url, body, user=user, headers=named)
        answer = await self.chain.handle(incoming)
        assert not isinstance(answer, Upgrade)
        return answer

    async def call(
        self, method: str, url: str, body: object = None, **headers: str
    ) -> tuple[int, Obj]:
        answer = await self.raw(method, url, body, **headers)
        assert isinstance(answer, Response)
        content = json.loads(answer.body) if answer.body else {}
        return answer.status, content

    async def watch(self, url: str) -> "Watch":
        answer = await self.raw("GET", url)
        assert isinstance(answer, StreamResponse), answer
        return Watch(answer.chunks)


class Watch:
    """Lines of a watch."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._events: list[Obj] = []

    async def next(self) -> Obj:
        async with asyncio.timeout(5):
            while not self._events:
                self._events += [
                    json.loads(row) for row in (await anext(self._chunks)).splitlines()
                ]
        return self._events.pop(0)

    async def close(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    made.server.caches.start()
    await bootstrap.bootstrap(made.server)
    yield made
    await made.server.caches.stop()


def pod(name: str, **meta: object) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **meta},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    }


def deployment(name: str, replicas: int = 1) -> Obj:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    }


async def test_nobody_gets_nothing_but_probes(api: Api) -> None:
    answer = await api.raw("GET", "/api/v1/pods", user=ANONYMOUS)
    assert isinstance(answer, Response)
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "Unauthorized")
    for path in ("/livez", "/readyz", "/healthz", "/version"):
        assert (await api.raw("GET", path, user=ANONYMOUS)).status == 200


async def test_created_pod_is_completed(api: Api) -> None:
    code, made = await api.call("POST", PODS, {**pod("a"), "status": {"phase": "Running"}})
    assert code == 201
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert made["spec"]["serviceAccountName"] == "default"
    assert [t["tolerationSeconds"] for t in made["spec"]["tolerations"]] == [300, 300]
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    code, again = await api.call("POST", PODS, pod("a"))
    assert (code, again["reason"]) == (409, "AlreadyExists")
    assert again["message"] == 'pods "a" already exists'


async def test_generated_name_ends_in_five_letters(api: Api) -> None:
    body = pod("")
    body["metadata"] = {"generateName": "web-"}
    _, made = await api.call("POST", PODS, body)
    assert len(made["metadata"]["name"]) == len("web-") + 5


async def test_stale_write_is_refused_in_upstreams_words(api: Api) -> None:
    _, made = await api.call("POST", DEPLOYMENTS, deployment("web"))
    stale = made["metadata"]["resourceVersion"]
    made["spec"]["replicas"] = 2
    assert (await api.call("PUT", DEPLOYMENTS + "/web", made))[0] == 200
    assert made["metadata"]["resourceVersion"] == stale
    code, status = await api.call("PUT", DEPLOYMENTS + "/web", made)
    assert code == 409
    assert status["message"] == (
        'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


async def test_generation_counts_spec_changes_only(api: Api) -> None:
    _, made = await api.call("POST", DEPLOYMENTS, deployment("web"))
    assert made["metadata"]["generation"] == 1
    url = DEPLOYMENTS + "/web"
    merge = {"content_type": "application/merge-patch+json"}
    _, labelled = await api.call("PATCH", url, {"metadata": {"labels": {"a": "b"}}}, **merge)
    assert labelled["metadata"]["generation"] == 1
    _, status = await api.call("PATCH", url + "/status", {"status": {"replicas": 1}}, **merge)
    assert (status["metadata"]["generation"], status["status"]["replicas"]) == (1, 1)
    _, scaled = await api.call("PATCH", url, {"spec": {"replicas": 4}}, **merge)
    assert (scaled["metadata"]["generation"], scaled["status"]["replicas"]) == (2, 1)


async def test_write_without_change_keeps_the_version(api: Api) -> None:
    _, made = await api.call("POST", DEPLOYMENTS, deployment("web"))
    _, same = await api.call("PUT", DEPLOYMENTS + "/web", made)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_finalizer_holds_a_deleted_object(api: Api) -> None:
    url = "/api/v1/namespaces/default/configmaps"
    body = {"metadata": {"name": "c", "finalizers": ["x.y/z"]}}
    await api.call("POST", url, body)
    code, held = await api.call("DELETE", url + "/c")
    assert code == 200
    assert held["metadata"]["deletionTimestamp"]
    merge = {"content_type": "application/merge-patch+json"}
    more = {"metadata": {"finalizers": ["x.y/z", "new.y/z"]}}
    code, refused = await api.call("PATCH", url + "/c", more, **merge)
    assert (code, refused["reason"]) == (422, "Invalid")
    assert (await api.call("PATCH", url + "/c", {"metadata": {"finalizers": None}}, **merge))[
        0
    ] == 200
    assert (await api.call("GET", url + "/c"))[0] == 404


async def test_bound_pod_is_deleted_in_two_steps(api: Api) -> None:
    await api.call("POST", PODS, pod("a"))
    binding = {"target": {"kind": "Node", "name": "n1"}, "metadata": {"name": "a"}}
    assert (await api.call("POST", PODS + "/a/binding", binding))[0] == 201
    code, again = await api.call("POST", PODS + "/a/binding", binding)
    assert (code, again["reason"]) == (409, "Conflict")
    _, live = await api.call("GET", PODS + "/a")
    assert live["spec"]["nodeName"] == "n1"
    # Found by the conformance suite: being put on a node is no change that is counted.
    assert live["metadata"]["generation"] == 1
    assert live["status"]["conditions"][0]["type"] == "PodScheduled"
    _, ending = await api.call("DELETE", PODS + "/a")
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (await api.call("GET", PODS + "/a"))[0] == 200
    wrong = {"gracePeriodSeconds": 0, "preconditions": {"uid": "other"}}
    assert (await api.call("DELETE", PODS + "/a", wrong))[0] == 409
    right = {"gracePeriodSeconds": 0, "preconditions": {"uid": live["metadata"]["uid"]}}
    assert (await api.call("DELETE", PODS + "/a", right))[0] == 200
    assert (await api.call("GET", PODS + "/a"))[0] == 404


async def test_namespace_ends_by_finalize(api: Api) -> None:
    await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "n1"}})
    _, ending = await api.call("DELETE", "/api/v1/namespaces/n1")
    assert ending["status"]["phase"] == "Terminating"
    code, status = await api.call("POST", "/api/v1/namespaces/n1/pods", pod("a"))
    assert code == 403
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    ending["spec"]["finalizers"] = []
    assert (await api.call("PUT", "/api/v1/namespaces/n1/finalize", ending))[0] == 200
    assert (await api.call("GET", "/api/v1/namespaces/n1"))[0] == 404
    code, _ = await api.call("POST", "/api/v1/namespaces/n1/pods", pod("a"))
    assert code == 404


async def test_dry_run_stores_nothing(api: Api) -> None:
    before = await api.storage.current_revision()
    assert (await api.call("POST", PODS + "?dryRun=All", pod("a")))[0] == 201
    assert (await api.call("GET", PODS + "/a"))[0] == 404
    await api.call("POST", PODS, pod("b"))
    assert (await api.call("DELETE", PODS + "/b?dryRun=All"))[0] == 200
    assert await api.storage.current_revision() == before + 1


async def test_unknown_field_is_refused_warned_of_or_dropped(api: Api) -> None:
    body = pod("a")
    body["spec"]["nope"] = 1
    code, status = await api.call("POST", PODS + "?fieldValidation=Strict", body)
    assert code == 400
    assert 'unknown field "spec.nope"' in status["message"]
    answer = await api.raw("POST", PODS, body)
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.nope\\""'
    assert "nope" not in (await api.call("GET", PODS + "/a"))[1]["spec"]


async def test_watch_goes_on_where_the_list_ended(api: Api) -> None:
    await api.call("POST", PODS, pod("a"))
    _, listed = await api.call("GET", PODS)
    watch = await api.watch(
        f"{PODS}?watch=true&resourceVersion={listed['metadata']['resourceVersion']}"
    )
    await api.call("POST", PODS, pod("b"))
    _, gone = await api.call("DELETE", PODS + "/a")
    first, second = await watch.next(), await watch.next()
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "b")
    assert (second["type"], second["object"]["metadata"]["name"]) == ("DELETED", "a")
    assert second["object"]["metadata"]["resourceVersion"] == gone["metadata"]["resourceVersion"]
    await watch.close()


async def test_object_that_leaves_the_selector_is_deleted_for_the_watch(api: Api) -> None:
    watch = await api.watch(PODS + "?watch=true&labelSelector=x%3Dy")
    await api.call("POST", PODS, pod("a"))
    merge = {"content_type": "application/merge-patch+json"}
    await api.call("PATCH", PODS + "/a", {"metadata": {"labels": {"x": "y"}}}, **merge)
    await api.call("PATCH", PODS + "/a", {"metadata": {"annotations": {"k": "v"}}}, **merge)
    await api.call("PATCH", PODS + "/a", {"metadata": {"labels": None}}, **merge)
    assert [(await watch.next())["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
    await watch.close()


async def test_watch_of_a_revision_that_is_gone_is_expired(api: Api) -> None:
    watch = await api.watch(PODS + "?watch=true&resourceVersion=1")
    event = await watch.next()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert event["object"]["reason"] == "Expired"
    assert event["object"]["message"].startswith("too old resource version: 1 (")
    with pytest.raises(StopAsyncIteration):
        await watch.next()


async def test_initial_events_end_with_a_marked_bookmark(api: Api) -> None:
    await api.call("POST", PODS, pod("a"))
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1"
    watch = await api.watch(f"{PODS}?{query}")
    assert (await watch.next())["type"] == "ADDED"
    bookmark = await watch.next()
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await watch.close()


async def test_watch_ends_when_its_time_is_over(api: Api) -> None:
    watch = await api.watch(PODS + "?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")
    assert (await watch.next())["type"] == "BOOKMARK"
    with pytest.raises(StopAsyncIteration):
        await watch.next()


async def test_pages_go_on_by_token(api: Api) -> None:
    for name in "abcde":
        await api.call("POST", PODS, pod(name, labels={"odd": str(name in "ace")}))
    names, url, pages = [], PODS + "?limit=2&labelSelector=odd%3DTrue", 0
    token = ""
    while True:
        _, page = await api.call("GET", url + (f"&continue={token}" if token else ""))
        names += [item["metadata"]["name"] for item in page["items"]]
        pages += 1
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert (names, pages) == (list("ace"), 2)
    code, status = await api.call("GET", PODS + "?limit=2&continue=junk")
    assert (code, status["reason"]) == (400, "BadRequest")


async def test_apply_creates_then_conflicts_then_takes(api: Api) -> None:
    apply = {"content_type": "application/apply-patch+yaml"}
    url = DEPLOYMENTS + "/web"
    assert (await api.call("PATCH", url + "?fieldManager=one", deployment("web"), **apply))[
        0
    ] == 201
    assert (await api.call("PATCH", url + "?fieldManager=one", deployment("web"), **apply))[
        0
    ] == 200
    other = url + "?fieldManager=two"
    code, status = await api.call("PATCH", other, deployment("web", 3), **apply)
    assert code == 409
    assert status["details"]["causes"][0]["field"] == ".spec.replicas"
    code, taken = await api.call("PATCH", other + "&force=true", deployment("web", 3), **apply)
    assert (code, taken["spec"]["replicas"]) == (200, 3)
    assert (await api.call("PATCH", url, deployment("web"), **apply))[0] == 422


async def test_scale_reads_and_writes_replicas(api: Api) -> None:
    await api.call("POST", DEPLOYMENTS, deployment("web", 2))
    _, scale = await api.call("GET", DEPLOYMENTS + "/web/scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    assert scale["status"]["selector"] == "app=web"
    scale["spec"]["replicas"] = 0
    assert (await api.call("PUT", DEPLOYMENTS + "/web/scale", scale, content_type=""))[0] == 200
    assert (await api.call("GET", DEPLOYMENTS + "/web"))[1]["spec"]["replicas"] == 0


async def test_services_get_addresses_of_their_own(api: Api) -> None:
    url = "/api/v1/namespaces/default/services"
    body = {"spec": {"ports": [{"port": 80}]}}
    seen = set()
    for number in range(20):
        _, made = await api.call("POST", url, {**body, "metadata": {"name": f"s{number}"}})
        seen.add(made["spec"]["clusterIP"])
    assert len(seen) == 20
    wanted = next(iter(seen))
    taken = {"metadata": {"name": "t"}, "spec": {**body["spec"], "clusterIP": wanted}}
    assert (await api.call("POST", url, taken))[0] == 422
    await api.call("DELETE", url)
    assert (await api.call("POST", url, taken))[0] == 201


async def test_unreachable_store_is_never_a_success(api: Api) -> None:
    api.storage.unreachable = True
    code, status = await api.call("POST", PODS, pod("a"))
    assert (code, status["reason"]) == (503, "ServiceUnavailable")
    assert (await api.call("GET", PODS))[0] == 503
    assert (await api.raw("GET", "/readyz")).status == 500
    assert (await api.raw("GET", "/livez")).status == 200


async def test_logs_need_a_container_name(api: Api) -> None:
    body = pod("two")
    body["spec"]["containers"].append({"name": "d", "image": "busybox"})
    await api.call("POST", PODS, body)
    code, status = await api.call("GET", PODS + "/two/log")
    assert code == 400
    assert status["message"] == (
        "a container name must be specified for pod two, choose one of: [c d]"
    )
    code, status = await api.call("GET", PODS + "/two/log?container=x")
    assert status["message"] == "container x is not valid for pod two"


@pytest.mark.parametrize("query", ["", "?labelSelector=a%3Db", "?fieldSelector=metadata.name%3Da"])
async def test_a_collection_is_deleted_in_one_namespace_only(api: Api, query: str) -> None:
    config_map = {"kind": "ConfigMap", "metadata": {"name": "a", "labels": {"a": "b"}}}
    path = "/api/v1/namespaces/{}/configmaps"
    for namespace in ("default", "kube-public"):
        assert (await api.call("POST", path.format(namespace), config_map))[0] == 201
    code, status = await api.call("DELETE", "/api/v1/configmaps" + query)
    assert (code, status["reason"]) == (405, "MethodNotAllowed")
    assert (await api.call("DELETE", path.format("default") + query))[0] == 200
    assert (await api.call("GET", path.format("default") + "/a"))[0] == 404
    assert (await api.call("GET", path.format("kube-public") + "/a"))[0] == 200


async def test_what_is_not_served_is_told_apart(api: Api) -> None:
    assert (await api.call("GET", "/api/v1/chairs"))[0] == 404
    assert (await api.call("POST", "/api/v1/pods", pod("a")))[0] == 405
    assert (await api.call("DELETE", "/api/v1/namespaces"))[0] == 405
    assert (await api.call("GET", PODS, accept="text/html"))[0] == 406
    assert (await api.call("POST", PODS, pod("a"), content_type="text/html"))[0] == 415
    assert (await api.call("GET", PODS + "?fieldSelector=spec.nope%3Dx"))[0] == 400
    assert (await api.call("POST", PODS, b"{"))[0] == 400


async def test_optional_zero_values_vanish_on_create_and_after_patches(api: Api) -> None:
    body = deployment("web")
    body["metadata"] |= {"annotations": {}, "labels": {}}
    container = body["spec"]["template"]["spec"]["containers"][0]
    container |= {"tty": False, "env": [{"name": "A", "value": ""}]}
    body["spec"]["paused"] = False
    _, made = await api.call("POST", DEPLOYMENTS, body)
    assert made["status"] == {}
    assert "paused" not in made["spec"]
    assert not {"annotations", "labels"} & set(made["metadata"])
    kept = made["spec"]["template"]["spec"]["containers"][0]
    assert (kept["env"], "tty" in kept) == ([{"name": "A"}], False)
    patch = {"spec": {"paused": False, "template": {"metadata": {"annotations": {}}}}}
    merge = {"content_type": "application/merge-patch+json"}
    _, patched = await api.call("PATCH", DEPLOYMENTS + "/web", patch, **merge)
    assert patched == made


async def test_applied_configuration_owns_what_it_was_sent_with_only(api: Api) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": pod("a")["spec"],
    }
    apply = {"content_type": "application/apply-patch+yaml"}
    code, made = await api.call("PATCH", PODS + "/a?fieldManager=m", config, **apply)
    assert code == 201
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:spec": {
            "f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}},
        }
    }


async def test_wrong_types_are_refused_with_the_place(api: Api) -> None:
    body = deployment("web")
    body["spec"]["replicas"] = "2"
    code, status = await api.call("POST", DEPLOYMENTS, body)
    assert (code, status["message"]) == (
        400,
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal '
        "string into Go struct field DeploymentSpec.spec.replicas of type int32",
    )


@pytest.mark.parametrize(
    ("group", "selector"),
    [
        ("/api/v1", "source=test-controller"),
        ("/api/v1", "reportingComponent=test-controller,involvedObject.kind=Pod"),
        ("/apis/events.k8s.io/v1", "reportingController=test-controller"),
        ("/apis/events.k8s.io/v1", "regarding.kind=Pod,reason=Test"),
    ],
)
async def test_events_are_selected_by_either_names(api: Api, group: str, selector: str) -> None:
    # Found by the conformance suite: by the names of events.k8s.io nothing was found.
    event = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
        "eventTime": "2017-09-19T13:49:16.000000Z",
        "action": "Do",
        "reason": "Test",
        "type": "Normal",
        "note": "n",
        "reportingController": "test-controller",
        "reportingInstance": "i",
    }
    url = "/apis/events.k8s.io/v1/namespaces/default/events"
    assert (await api.call("POST", url, event))[0] == 201
    _, found = await api.call("GET", f"{group}/namespaces/default/events?fieldSelector={selector}")
    assert [row["metadata"]["name"] for row in found["items"]] == ["e"]
    other = selector.replace("test-controller", "x").replace("Pod", "x")
    _, found = await api.call("GET", f"{group}/namespaces/default/events?fieldSelector={other}")
    assert found["items"] == []
