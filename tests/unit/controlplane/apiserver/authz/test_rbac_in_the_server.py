"""RBAC as clients meet it: default roles, refusals in the original's words, and that nobody grants what he has not."""

import json
from collections.abc import AsyncIterator

import pytest

from controlplane.api.errors import Forbidden, Invalid, NotFound
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.rbac import policy
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, User
from controlplane.client.rest import RestClient
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kinds.rbac.role import ROLES
from controlplane.kinds.rbac.role_binding import ROLE_BINDINGS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

RBAC = ApiServerConfig(authorization_modes=("RBAC",))
GROUP = "rbac.authorization.k8s.io"
JANE, ROLER = User("jane"), User("roler")


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer(config=RBAC) as running:
        yield running


@pytest.fixture
async def admin(server: InProcessServer) -> RestClient:
    return server.client()


@pytest.fixture
async def roler(server: InProcessServer, admin: RestClient) -> RestClient:
    """May write roles and bindings and read pods, and nothing else: the recorded case."""
    rules = [
        {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["create", "get", "update", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]
    await admin.create(CLUSTER_ROLES, role("gold-roler", *rules))
    await admin.create(CLUSTER_ROLE_BINDINGS, binding("gold-roler", "gold-roler", "roler"))
    return server.client(ROLER)


def role(name: str, *rules: Obj) -> Obj:
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(name: str, to: str, user: str = "joe", kind: str = "ClusterRole") -> Obj:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": to},
        "subjects": [{"kind": "User", "name": user}],
    }


def rule(resources: list[str], verbs: list[str], **more: list[str]) -> Obj:
    return {"apiGroups": [""], "resources": resources, "verbs": verbs, **more}


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/", 'forbidden: User "jane" cannot get path "/"'),
        ("GET", "/metrics", 'forbidden: User "jane" cannot get path "/metrics"'),
        (
            "GET",
            "/api/v1/namespaces/gold",
            'namespaces "gold" is forbidden: User "jane" cannot get resource "namespaces" in API '
            'group "" in the namespace "gold"',
        ),
        (
            "DELETE",
            "/api/v1/namespaces/gold/pods",
            'pods is forbidden: User "jane" cannot deletecollection resource "pods" in API group '
            '"" in the namespace "gold"',
        ),
        (
            "GET",
            "/apis/x.example.com/v1/frobs",
            'frobs.x.example.com is forbidden: User "jane" cannot list resource "frobs" in API '
            'group "x.example.com" at the cluster scope',
        ),
        ("GET", "/api/v1", None),
        ("GET", "/apis", None),
        ("GET", "/healthz", None),
        ("GET", "/openapi/v2", None),
    ],
)
async def test_somebody_without_roles_may_discover_and_no_more(
    server: InProcessServer, method: str, path: str, message: str | None
) -> None:
    answer = await server.ask(InProcessRequest.of(method, path, user=JANE))
    assert isinstance(answer, Response)
    if message is None:
        assert answer.status == 200
    else:
        assert (answer.status, json.loads(answer.body)["message"]) == (403, message)


async def test_a_grant_counts_at_once_and_so_does_its_end(
    server: InProcessServer, admin: RestClient
) -> None:
    jane = server.client(JANE)
    with pytest.raises(Forbidden):
        await jane.list(PODS, "default")
    await admin.create(ROLE_BINDINGS, binding("jane", "view", "jane"), "default")
    # `view` is filled by a controller; without it the role grants nothing.
    with pytest.raises(Forbidden):
        await jane.list(PODS, "default")
    await admin.create(ROLES, role("pods", rule(["pods"], ["list"])), "default")
    await admin.create(ROLE_BINDINGS, binding("own", "pods", "jane", "Role"), "default")
    await server.app.server.caches.wait_current()
    assert (await jane.list(PODS, "default")).items == []
    for elsewhere in ("kube-system", ""):
        with pytest.raises(Forbidden):
            await jane.list(PODS, elsewhere)
    await admin.patch(ROLES, "pods", {"rules": [rule(["pods"], ["get"])]}, "default")
    await server.app.server.caches.wait_current()
    with pytest.raises(Forbidden):
        await jane.list(PODS, "default")


async def test_a_missing_role_is_named(server: InProcessServer, admin: RestClient) -> None:
    await admin.create(CLUSTER_ROLE_BINDINGS, binding("b", "gone", "jane"))
    await server.app.server.caches.wait_current()
    with pytest.raises(Forbidden, match=r'RBAC: clusterrole\..*io "gone" not found$'):
        await server.client(JANE).list(PODS, "default")


async def test_all_default_roles_and_bindings_are_there(admin: RestClient) -> None:
    for resource in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS):
        listed = await admin.list_all(resource)
        found = {
            (one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in listed.items
        }
        for expected in policy.defaults():
            if expected["kind"] != resource.kind:
                continue
            metadata = expected["metadata"]
            one = found[(metadata.get("namespace"), metadata["name"])]
            assert one.get("rules") == expected.get("rules")
            assert one.get("subjects") == expected.get("subjects")
            assert one["metadata"]["labels"] == metadata["labels"]
            assert one["metadata"]["managedFields"][0]["manager"] == "kube-apiserver"


async def test_masters_are_let_in_even_when_all_roles_are_gone(
    server: InProcessServer, admin: RestClient
) -> None:
    for resource in (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES):
        for one in (await admin.list_all(resource)).items:
            await admin.delete(resource, one["metadata"]["name"])
    assert await admin.list(NODES)


# ---- escalation ----


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ([rule(["pods"], ["get"])], None),
        (
            [rule(["secrets"], ["get", "list"])],
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
        ),
        (
            [rule(["secrets"], ["get"], resourceNames=["x"])],
            '{APIGroups:[""], Resources:["secrets"], ResourceNames:["x"], Verbs:["get"]}',
        ),
        (
            [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
            '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
        ),
        (
            [rule(["secrets", "pods"], ["get", "delete"])],
            '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}',
        ),
    ],
    ids=["own", "secrets", "one secret", "everything", "two things"],
)
async def test_nobody_makes_a_role_of_what_he_has_not(
    roler: RestClient, rules: list[Obj], missing: str | None
) -> None:
    if missing is None:
        await roler.create(ROLES, role("a", *rules), "default")
        return
    with pytest.raises(Forbidden) as refused:
        await roler.create(ROLES, role("a", *rules), "default")
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "a" is forbidden: user "roler" (groups=["system:'
        'authenticated"]) is attempting to grant RBAC permissions not currently held:\n' + missing
    )


async def test_a_role_is_not_widened_by_an_update(roler: RestClient) -> None:
    made = await roler.create(ROLES, role("a", rule(["pods"], ["get"])), "default")
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"x": "y"}}}
    made = await roler.update(ROLES, labelled)
    with pytest.raises(Forbidden):
        await roler.update(ROLES, {**made, "rules": [rule(["secrets"], ["get"])]})


async def test_aggregation_is_for_those_who_may_everything(roler: RestClient) -> None:
    wide = {
        "metadata": {"name": "z"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    }
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggreg"):
        await roler.create(CLUSTER_ROLES, wide)


async def test_labels_that_feed_an_aggregated_role_do_not_widen_it(roler: RestClient) -> None:
    """The rules are checked where they are written, so a label carries nothing into `admin` that its writer has not."""
    sneaky = role("z", rule(["secrets"], ["get"]))
    sneaky["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    with pytest.raises(Forbidden):
        await roler.create(CLUSTER_ROLES, sneaky)


async def test_nobody_binds_what_he_has_not(roler: RestClient) -> None:
    await roler.create(ROLE_BINDINGS, binding("own", "gold-roler"), "default")
    with pytest.raises(Forbidden) as refused:
        await roler.create(ROLE_BINDINGS, binding("x", "cluster-admin"), "default")
    assert refused.value.message.endswith(
        'not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n'
        '{NonResourceURLs:["*"], Verbs:["*"]}'
    )
    with pytest.raises(NotFound, match=r'rolebindings\.rbac\.authorization\.k8s\.io "none" not f'):
        await roler.create(ROLE_BINDINGS, binding("x", "none"), "default")


async def test_subjects_are_not_added_to_a_binding_one_could_not_make(
    roler: RestClient, admin: RestClient
) -> None:
    made = await admin.create(ROLE_BINDINGS, binding("x", "cluster-admin"), "default")
    with pytest.raises(Forbidden):
        await roler.update(ROLE_BINDINGS, {**made, "subjects": [{"kind": "User", "name": "roler"}]})


async def test_a_binding_keeps_its_role(admin: RestClient) -> None:
    made = await admin.create(ROLE_BINDINGS, binding("x", "view"), "default")
    made["roleRef"]["name"] = "edit"
    with pytest.raises(Invalid) as refused:
        await admin.update(ROLE_BINDINGS, made)
    assert refused.value.message == (
        'RoleBinding.rbac.authorization.k8s.io "x" is invalid: roleRef: Invalid value: {"APIGroup":'
        '"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: cannot change roleRef'
    )


async def test_who_may_escalate_or_bind_is_let_through(
    server: InProcessServer, admin: RestClient, roler: RestClient
) -> None:
    more = [
        {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["escalate"]},
        {
            "apiGroups": [GROUP],
            "resources": ["clusterroles"],
            "verbs": ["bind"],
            "resourceNames": ["edit"],
        },
    ]
    await admin.create(CLUSTER_ROLES, role("more", *more))
    await admin.create(CLUSTER_ROLE_BINDINGS, binding("more", "more", "roler"))
    await server.app.server.caches.wait_current()
    await roler.create(ROLES, role("a", rule(["secrets"], ["get"])), "default")
    await roler.create(ROLE_BINDINGS, binding("x", "edit"), "default")
    with pytest.raises(Forbidden):
        await roler.create(ROLE_BINDINGS, binding("y", "cluster-admin"), "default")
    with pytest.raises(Forbidden):
        await roler.create(CLUSTER_ROLES, role("a", rule(["secrets"], ["get"])))


async def test_without_rbac_everybody_may_grant() -> None:
    async with InProcessServer() as server:
        client = server.client(JANE)
        await client.create(ROLE_BINDINGS, binding("x", "cluster-admin"), "default")
        assert await client.list(CONFIG_MAPS, "default")
