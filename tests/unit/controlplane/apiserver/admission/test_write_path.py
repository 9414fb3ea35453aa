"""The order of a write, and plugins that wait: what a webhook or a quota will need."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from controlplane.api import errors
from controlplane.api.errors import APIError, Conflict, Forbidden, NotFound
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import (
    CREATE,
    DELETE,
    UPDATE,
    Attributes,
)
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, User
from controlplane.client.rest import RestClient
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessRequest, InProcessServer


class Counting:
    """Sees every request twice, changes nothing, and remembers what it saw."""

    def __init__(self, *resources: Resource) -> None:
        self.resources = resources
        self.seen: list[tuple[str, str, str, str]] = []
        self.attributes: list[Attributes] = []

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        return resource in self.resources

    async def admit(self, attributes: Attributes) -> None:
        self._see("admit", attributes)

    async def validate(self, attributes: Attributes) -> None:
        self._see("validate", attributes)

    def _see(self, phase: str, attributes: Attributes) -> None:
        self.seen.append(
            (phase, attributes.operation, attributes.subresource, attributes.kind.resource.kind)
        )
        self.attributes.append(attributes)

    def operations(self, phase: str) -> list[str]:
        return [row[1] for row in self.seen if row[0] == phase]


class Webhook:
    """Shaped like a mutating webhook: waits until it is answered, then labels the object."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.calls = 0
        self.refusal: APIError | None = None

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        return resource == CONFIG_MAPS and operation in (CREATE, UPDATE)

    async def admit(self, attributes: Attributes) -> None:
        self.calls += 1
        self.asked.set()
        await self.answers.wait()
        if self.refusal is not None:
            raise self.refusal
        attributes.require_object()["metadata"].setdefault("labels", {})["hooked"] = "yes"


@pytest.fixture
async def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def counting() -> Counting:
    return Counting(CONFIG_MAPS, DEPLOYMENTS)


@pytest.fixture
async def server(webhook: Webhook, counting: Counting) -> AsyncIterator[InProcessServer]:
    async with InProcessServer(more_plugins=[webhook, counting]) as running:
        # Controllers of the bootstrap may have asked before.
        counting.seen.clear()
        counting.attributes.clear()
        yield running


@pytest.fixture
def client(server: InProcessServer) -> RestClient:
    return server.client(User("u", ("g",)))


def config_map(name: str = "a", **fields: object) -> Obj:
    return {"metadata": {"name": name}, **fields}


def deployment() -> Obj:
    labels = {"app": "w"}
    return {
        "metadata": {"name": "w"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    }


async def test_a_write_waits_for_a_webhook_and_others_do_not(
    client: RestClient, webhook: Webhook
) -> None:
    waiting = asyncio.ensure_future(client.create(CONFIG_MAPS, config_map(), "default"))
    await webhook.asked.wait()
    assert (await client.list(PODS, "default")).items == []
    assert not waiting.done()
    webhook.answers.set()
    assert (await waiting)["metadata"]["labels"] == {"hooked": "yes"}


async def test_an_update_that_was_overtaken_while_it_waited_is_asked_again(
    server: InProcessServer, client: RestClient, webhook: Webhook
) -> None:
    server.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    patching = asyncio.ensure_future(
        client.patch(CONFIG_MAPS, "a", {"data": {"mine": "1"}}, "default")
    )
    await webhook.asked.wait()
    other = {"metadata": {"name": "a", "namespace": "default"}, "data": {"theirs": "2"}}
    server.put(CONFIG_MAPS, other)
    webhook.answers.set()
    updated = await patching
    assert updated["data"] == {"mine": "1", "theirs": "2"}
    assert webhook.calls == 2


async def test_an_update_with_a_revision_is_refused_when_overtaken_while_it_waited(
    server: InProcessServer, client: RestClient, webhook: Webhook
) -> None:
    live = server.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    updating = asyncio.ensure_future(client.update(CONFIG_MAPS, {**live, "data": {"k": "v"}}))
    await webhook.asked.wait()
    server.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    webhook.answers.set()
    with pytest.raises(Conflict):
        await updating


async def test_an_object_that_was_deleted_while_the_webhook_thought_is_not_found(
    server: InProcessServer, client: RestClient, webhook: Webhook
) -> None:
    server.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    patching = asyncio.ensure_future(client.patch(CONFIG_MAPS, "a", {"data": {}}, "default"))
    await webhook.asked.wait()
    server.remove(CONFIG_MAPS, "a", "default")
    webhook.answers.set()
    with pytest.raises(NotFound):
        await patching


async def test_a_refusal_of_a_plugin_stores_nothing(
    server: InProcessServer, client: RestClient, webhook: Webhook
) -> None:
    webhook.answers.set()
    webhook.refusal = errors.Forbidden("not on Mondays")
    with pytest.raises(Forbidden, match="not on Mondays"):
        await client.create(CONFIG_MAPS, config_map(), "default")
    assert server.object(CONFIG_MAPS, "a", "default") is None


async def test_every_operation_is_told_with_what_belongs_to_it(
    client: RestClient, webhook: Webhook, counting: Counting
) -> None:
    webhook.answers.set()
    made = await client.create(CONFIG_MAPS, config_map(data={"k": "1"}), "default")
    await client.update(CONFIG_MAPS, {**made, "data": {"k": "2"}})
    await client.delete(CONFIG_MAPS, "a", "default")
    assert counting.operations("admit") == [CREATE, UPDATE, DELETE]
    assert counting.operations("validate") == [CREATE, UPDATE, DELETE]
    create, update, delete = counting.attributes[1::2]
    assert (create.user.name, create.user.groups) == ("u", ("g", "system:authenticated"))
    assert (create.namespace, create.name, create.is_dry_run) == ("default", "a", False)
    assert create.require_object()["data"] == {"k": "1"}
    assert create.old is None
    assert update.old is not None
    assert (update.old["data"], update.require_object()["data"]) == ({"k": "1"}, {"k": "2"})
    assert delete.obj is None
    assert delete.old is not None
    assert delete.old["data"] == {"k": "2"}
    kinds = [one.options["kind"] for one in (create, update, delete)]
    assert kinds == ["CreateOptions", "UpdateOptions", "DeleteOptions"]


async def test_mutating_plugins_see_defaults_and_validating_ones_the_finished_object(
    client: RestClient, counting: Counting
) -> None:
    await client.create(DEPLOYMENTS, deployment(), "default")
    first, last = counting.attributes
    # The same object: what the first saw is remembered by the fields it had then.
    assert first.require_object()["spec"]["replicas"] == 1
    assert "uid" in last.require_object()["metadata"]


async def test_rules_are_asked_after_mutation_and_before_validation(
    client: RestClient, webhook: Webhook, counting: Counting
) -> None:
    webhook.answers.set()
    with pytest.raises(errors.Invalid):
        await client.create(CONFIG_MAPS, config_map(data={"not a key": "x"}), "default")
    assert counting.operations("admit") == [CREATE]
    assert counting.operations("validate") == []


async def test_a_subresource_is_let_in_by_its_own_body(
    client: RestClient, counting: Counting
) -> None:
    await client.create(DEPLOYMENTS, deployment(), "default")
    counting.seen.clear()
    await client.patch(DEPLOYMENTS, "w", {"spec": {"replicas": 3}}, "default", subresource="scale")
    assert counting.seen == [
        ("admit", UPDATE, "scale", "Scale"),
        ("validate", UPDATE, "scale", "Scale"),
    ]
    scale = counting.attributes[-1]
    assert scale.require_object()["spec"] == {"replicas": 3}
    assert scale.old is not None
    assert scale.old["spec"] == {"replicas": 1}
    assert (await client.get(DEPLOYMENTS, "w", "default"))["spec"]["replicas"] == 3


async def test_dry_run_is_told(
    server: InProcessServer, webhook: Webhook, counting: Counting
) -> None:
    webhook.answers.set()
    path = "/api/v1/namespaces/default/configmaps?dryRun=All"
    answer = await server.ask(InProcessRequest.of("POST", path, config_map()))
    assert answer.status == 201
    assert all(one.is_dry_run for one in counting.attributes)
    assert counting.attributes[0].options["dryRun"] == ["All"]
    assert server.object(CONFIG_MAPS, "a", "default") is None


async def test_what_plugins_set_belongs_to_no_manager(client: RestClient, webhook: Webhook) -> None:
    webhook.answers.set()
    made = await client.create(CONFIG_MAPS, config_map(data={"k": "1"}), "default")
    assert made["metadata"]["labels"] == {"hooked": "yes"}
    fields = [entry["fieldsV1"] for entry in made["metadata"]["managedFields"]]
    assert "f:metadata" not in fields[0]
    assert "f:k" in fields[0]["f:data"]


async def test_warnings_of_plugins_reach_the_client(server: InProcessServer) -> None:
    class Warning_(Counting):
        async def validate(self, attributes: Attributes) -> None:
            attributes.warnings.append("mind the gap")

    async with InProcessServer(more_plugins=[Warning_(CONFIG_MAPS)]) as other:
        path = "/api/v1/namespaces/default/configmaps"
        answer = await other.ask(InProcessRequest.of("POST", path, config_map()))
        assert isinstance(answer, Response)
        assert answer.headers["Warning"] == '299 - "mind the gap"'


async def test_no_name_can_be_given_in_a_namespace_that_ends(
    server: InProcessServer, client: RestClient
) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "n"}})
    await client.delete(NAMESPACES, "n")
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, {"metadata": {"generateName": "p-"}}, "n")
    assert [cause.reason for cause in refused.value.causes] == ["NamespaceTerminating"]
    with pytest.raises(NotFound, match='namespaces "none" not found'):
        await client.create(PODS, {"metadata": {"name": "p"}}, "none")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_three_namespaces_may_not_be_deleted(client: RestClient, name: str) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await client.delete(NAMESPACES, name)


async def test_a_plugin_can_be_disabled() -> None:
    config = ApiServerConfig(disabled_admission_plugins=("DefaultTolerationSeconds",))
    async with InProcessServer(config=config) as server:
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        made = await server.client().create(PODS, pod, "default")
        assert "tolerations" not in made["spec"]
        assert made["spec"]["serviceAccountName"] == "default"
        json.dumps(made)
