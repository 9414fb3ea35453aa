"""What subresources and special kinds refuse, in the words that a real API server was heard to say."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Response
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

UID = "11111111-1111-1111-1111-111111111111"
POD = "/api/v1/namespaces/default/pods"
SCALE = "/apis/apps/v1/namespaces/default/deployments/d/scale"
REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as server:
        client = server.client()
        for name in ("free", "sub"):
            spec: Obj = {"containers": [{"name": "c", "image": "i"}]}
            await client.create(PODS, {"metadata": {"name": name}, "spec": spec}, "default")
        body = json.dumps(binding("sub", "nowhere")).encode()
        await server.ask(InProcessRequest.of("POST", f"{POD}/sub/binding", json.loads(body)))
        template = {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        await client.create(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}, "default")
        yield server


def binding(name: str, node: str, **metadata: str) -> Obj:
    return {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, **metadata},
        "target": {"kind": "Node", "name": node},
    }  # fmt: skip


def scale(**metadata: str) -> Obj:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": 1},
    }


def eviction(name: str, **options: Any) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": options,
    }


async def asked(
    server: InProcessServer, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    answer = await server.ask(InProcessRequest.of(method, path, body))
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body) if answer.body else None


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "message"),
    [
        pytest.param("POST", f"{POD}/free/binding", binding("sub", "x"), 400,
            "name in URL does not match name in Binding object", id="binding-of-another-name"),
        pytest.param("POST", f"{POD}/sub/binding", binding("sub", "x"), 409,
            'Operation cannot be fulfilled on pods/binding "sub": pod sub is already assigned to node "nowhere"',
            id="bound-already"),
        pytest.param("POST", "/api/v1/namespaces/default/bindings", binding("sub", "x"), 409,
            'Operation cannot be fulfilled on pods/binding "sub": pod sub is already assigned to node "nowhere"',
            id="bound-already-by-the-old-way"),
        pytest.param("POST", f"{POD}/free/binding", binding("free", ""), 500, "target.name: Required value",
            id="binding-to-nothing"),
        pytest.param("POST", f"{POD}/free/binding", {**binding("free", "x"), "target": {"kind": "Pod", "name": "x"}},
            500, 'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"', id="binding-to-a-pod"),
        pytest.param("POST", f"{POD}/sub/eviction", eviction("free"), 400,
            "name in URL does not match name in Eviction object", id="eviction-of-another-name"),
        pytest.param("PUT", SCALE, scale(name="x"), 400,
            "the name of the object (x) does not match the name on the URL (d)", id="scale-of-another-name"),
        pytest.param("GET", f"{POD}/sub/log?tailLines=x", None, 400, 'strconv.ParseInt: parsing "x": invalid syntax',
            id="log-no-number"),
        pytest.param("DELETE", f"{POD}/sub?gracePeriodSeconds=1_0", None, 400,
            'strconv.ParseInt: parsing "1_0": invalid syntax', id="grace-no-number"),
        pytest.param("GET", f"{POD}/sub/log?tailLines=-1&sinceSeconds=0&limitBytes=0", None, 422,
            'PodLogOptions "sub" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, '
            "limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater "
            "than 0]", id="log-numbers-out-of-range"),
        pytest.param("GET", f"{POD}/sub/log?sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", None, 422,
            'PodLogOptions "sub" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be '
            "specified", id="log-two-beginnings"),
        pytest.param("GET", f"{POD}/sub/log", None, 404, 'pods "nowhere" not found', id="log-without-a-node"),
        pytest.param("GET", f"{POD}/none/exec?command=ls", None, 404, 'pods "none" not found', id="exec-in-nothing"),
        pytest.param("GET", f"{POD}/sub/exec", None, 404, 'pods "nowhere" not found', id="exec-without-a-node"),
        pytest.param("GET", f"{POD}/free/exec?command=ls&stdout=1", None, 400,
            "pod free does not have a host assigned", id="exec-before-it-is-bound"),
        pytest.param("DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical", None, 403,
            'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class '
            "and cannot be deleted", id="system-priority-class"),
        pytest.param("POST", f"{REVIEWS}/selfsubjectaccessreviews",
            {"spec": {"nonResourceAttributes": {}, "resourceAttributes": {}}}, 422,
            '.authorization.k8s.io "" is invalid: spec.nonResourceAttributes: Invalid value: {"Path":"","Verb":""}: '
            "cannot be specified in combination with resourceAttributes", id="review-of-two-things"),
        pytest.param("GET", "/api/v1/componentstatuses/none", None, 404, 'componentstatus "none" not found',
            id="no-such-component"),
        pytest.param("GET", "/api/v1/namespaces/default/pods/sub/status/x", None, 404,
            "the server could not find the requested resource", id="below-a-subresource"),
    ],
)  # fmt: skip
async def test_refused(
    server: InProcessServer, method: str, path: str, body: Any, code: int, message: str
) -> None:
    status, answer = await asked(server, method, path, body)
    assert (status, answer["message"]) == (code, message)


@pytest.mark.parametrize(
    ("path", "body", "begins"),
    [
        pytest.param(f"{POD}/free/binding", binding("free", "x", uid=UID),
            'Operation cannot be fulfilled on pods "free": StorageError: invalid object, Code: 4, Key: '
            "/registry/pods/default/free, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
            f"precondition: {UID}, UID in object meta: ", id="binding"),
        pytest.param(f"{POD}/sub/eviction", eviction("sub", preconditions={"uid": UID}),
            f'Operation cannot be fulfilled on Pod "sub": the UID in the precondition ({UID}) does not match the UID '
            "in record (", id="eviction"),
        pytest.param(SCALE, scale(uid=UID), 'Operation cannot be fulfilled on deployments.apps "d": StorageError: '
            "invalid object, Code: 4, Key: /registry/deployments/default/d, ResourceVersion: 0, ", id="scale"),
    ],
)  # fmt: skip
async def test_another_object_is_meant(
    server: InProcessServer, path: str, body: Obj, begins: str
) -> None:
    method = "PUT" if path.endswith("scale") else "POST"
    status, answer = await asked(server, method, path, body)
    assert status == 409
    assert answer["message"].startswith(begins)


async def test_a_pod_without_a_node_has_no_log(server: InProcessServer) -> None:
    assert await asked(server, "GET", f"{POD}/free/log") == (204, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apis/frob"),
        ("GET", "/apis/frob/v1/things"),
        ("GET", "/api/v9/pods"),
        ("GET", "/metrics/none"),
        ("GET", "/openapi/v4"),
        ("GET", "/openid/v1/none"),
    ],
)
async def test_outside_of_the_api_it_is_plain_text(
    server: InProcessServer, method: str, path: str
) -> None:
    answer = await server.ask(InProcessRequest.of(method, path))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")


async def test_components_are_healthy_while_somebody_leads(server: InProcessServer) -> None:
    path = "/api/v1/componentstatuses"
    _, found = await asked(server, "GET", path)
    told = {one["metadata"]["name"]: one["conditions"][0] for one in found["items"]}
    assert told["etcd-0"] == {"type": "Healthy", "status": "True", "message": "ok"}
    assert told["scheduler"]["status"] == "False"
    lease = {
        "metadata": {"name": "kube-scheduler"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 600, "renewTime": "2099-01-01T00:00:00.000000Z"},
    }  # fmt: skip
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    assert (await asked(server, "POST", leases, lease))[0] == 201
    _, one = await asked(server, "GET", f"{path}/scheduler")
    assert one["conditions"][0]["status"] == "True"


async def test_jobs_and_controllers_leave_their_pods_unless_it_is_said(
    server: InProcessServer,
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    job = {"metadata": {"name": "j"}, "spec": {"template": template}}
    assert (await asked(server, "POST", jobs, job))[0] == 201
    answer = await server.ask(InProcessRequest.of("DELETE", f"{jobs}/j"))
    assert isinstance(answer, Response)
    assert "child pods are preserved by default" in answer.headers["Warning"]
    _, left = await asked(server, "GET", f"{jobs}/j")
    assert left["metadata"]["finalizers"] == ["orphan"]
    assert (await asked(server, "POST", jobs, {**job, "metadata": {"name": "k"}}))[0] == 201
    quiet = await server.ask(
        InProcessRequest.of("DELETE", f"{jobs}/k", {"propagationPolicy": "Background"})
    )
    assert isinstance(quiet, Response)
    assert (quiet.status, "Warning" in quiet.headers) == (200, False)


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        pytest.param("/api/v1/namespaces/default/configmaps", {}, 4, id="config-map"),
        pytest.param("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"spec": {"selector": {}}}, 2,
            id="budget"),
        pytest.param("/apis/coordination.k8s.io/v1/namespaces/default/leases", {}, 3, id="lease"),
        pytest.param("/api/v1/namespaces/default/limitranges", {"spec": {"limits": []}}, 3, id="limit-range"),
    ],
)  # fmt: skip
async def test_a_bad_label_is_told_as_often_as_it_is_looked_at(
    server: InProcessServer, path: str, body: Obj, count: int
) -> None:
    status, _ = await asked(server, "POST", path, {"metadata": {"name": "a"}, **body})
    assert status == 201
    _, live = await asked(server, "GET", f"{path}/a")
    live["metadata"]["labels"] = {"a": "b c"}
    status, answer = await asked(server, "PUT", f"{path}/a", live)
    assert status == 422
    fields = [cause["field"] for cause in answer["details"]["causes"]]
    assert fields == ["metadata.labels"] * count
    assert answer["message"].count("Invalid value") == 1
