"""Reviews answer what the server would do, and tell the caller who he is."""

import json
from collections.abc import AsyncIterator

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, User
from controlplane.testing.in_process import ADMIN, InProcessRequest, InProcessServer

AUTHORIZATION = "/apis/authorization.k8s.io/v1"
JANE = User("jane", ("dev",))


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    config = ApiServerConfig(authorization_modes=("RBAC",))
    async with InProcessServer(config=config) as running:
        yield running


async def post(
    server: InProcessServer, path: str, body: Obj, user: User = ADMIN
) -> tuple[int, Obj]:
    answer = await server.ask(InProcessRequest.of("POST", path, body, user=user))
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        (
            {"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods"}},
            {"allowed": False},
        ),
        (
            {
                "user": "system:kube-scheduler",
                "resourceAttributes": {"verb": "list", "resource": "pods"},
            },
            {
                "allowed": True,
                "reason": 'RBAC: allowed by ClusterRoleBinding "system:kube-scheduler" of '
                'ClusterRole "system:kube-scheduler" to User "system:kube-scheduler"',
            },
        ),
        (
            {
                "user": "u",
                "groups": ["system:masters"],
                "nonResourceAttributes": {"path": "/x", "verb": "get"},
            },
            {"allowed": True},
        ),
        (
            {
                "user": "u",
                "groups": ["system:authenticated"],
                "nonResourceAttributes": {"path": "/api", "verb": "get"},
            },
            {
                "allowed": True,
                "reason": 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole '
                '"system:discovery" to Group "system:authenticated"',
            },
        ),
    ],
    ids=["nobody", "scheduler", "masters", "discovery"],
)
async def test_a_verdict_is_told_with_its_reason(
    server: InProcessServer, spec: Obj, status: Obj
) -> None:
    code, review = await post(server, f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec})
    assert code == 201
    assert review["status"] == status
    assert review["spec"] == spec


async def test_a_local_review_is_about_its_namespace(server: InProcessServer) -> None:
    path = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    attributes = {"verb": "get", "resource": "pods", "namespace": "default"}
    code, review = await post(
        server, path, {"spec": {"user": "u", "resourceAttributes": attributes}}
    )
    assert (code, review["status"]) == (201, {"allowed": False})
    attributes["namespace"] = "other"
    code, refusal = await post(
        server, path, {"spec": {"user": "u", "resourceAttributes": attributes}}
    )
    assert (code, refusal["details"]["causes"][0]["field"]) == (
        422,
        "spec.resourceAttributes.namespace",
    )


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"user": "u"}, "spec.resourceAttributes"),
        ({"resourceAttributes": {"verb": "get"}}, "spec.user"),
        (
            {"user": "u", "resourceAttributes": {}, "nonResourceAttributes": {}},
            "spec.nonResourceAttributes",
        ),
    ],
    ids=["nothing asked", "about nobody", "both asked"],
)
async def test_a_question_without_sense_is_refused(
    server: InProcessServer, spec: Obj, field: str
) -> None:
    code, refusal = await post(server, f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec})
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, field)


async def test_anybody_known_may_ask_about_himself_and_not_about_others(
    server: InProcessServer,
) -> None:
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    code, review = await post(
        server, f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": spec}, JANE
    )
    assert (code, review["status"]) == (201, {"allowed": False})
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    code, _ = await post(server, path, {"spec": {**spec, "user": "u"}}, JANE)
    assert code == 403


async def test_the_own_rules_are_those_of_all_bindings(server: InProcessServer) -> None:
    code, review = await post(
        server,
        f"{AUTHORIZATION}/selfsubjectrulesreviews",
        {"spec": {"namespace": "default"}},
        JANE,
    )
    assert code == 201
    assert review["metadata"] == review["spec"] == {}
    assert review["status"]["incomplete"] is False
    assert {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    } in review["status"]["resourceRules"]
    paths = [rule["nonResourceURLs"] for rule in review["status"]["nonResourceRules"]]
    assert any("/api/*" in urls for urls in paths)
    code, _ = await post(server, f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {}}, JANE)
    assert code == 400


async def test_whoami(server: InProcessServer) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    code, review = await post(server, path, {}, JANE)
    assert code == 201
    assert review["status"]["userInfo"] == {
        "username": "jane",
        "groups": ["dev", "system:authenticated"],
    }
    assert review["metadata"]["creationTimestamp"]


async def test_reviews_are_not_kept(server: InProcessServer) -> None:
    before = await server.storage.current_revision()
    await post(server, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, JANE)
    assert await server.storage.current_revision() == before
    answer = await server.ask(
        InProcessRequest.of("GET", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
    )
    assert answer.status == 405


async def test_a_review_has_no_table(server: InProcessServer) -> None:
    request = InProcessRequest.of(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}},
        user=ADMIN,
    )
    request.headers = {**request.headers, "accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = await server.ask(request)
    assert isinstance(answer, Response)
    assert (answer.status, json.loads(answer.body)["reason"]) == (406, "NotAcceptable")
