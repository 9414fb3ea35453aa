"""A namespace that ends says what remains in it."""

import pytest

from controlplane.controllers.namespace.plan import Findings, plan_status
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS

NOW = "2023-11-14T22:13:20Z"
CONTENT, FINALIZERS = "NamespaceContentRemaining", "NamespaceFinalizersRemaining"


def said(findings, old=()):
    status = plan_status({"status": {"conditions": list(old)}}, findings, NOW)
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]}


def test_all_is_well():
    assert said(Findings()) == {
        "NamespaceDeletionDiscoveryFailure": (
            "False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        "NamespaceDeletionContentFailure": (
            "False", "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization"),
        CONTENT: ("False", "ContentRemoved", "All content successfully removed"),
        FINALIZERS: ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    }  # fmt: skip


def test_what_remains_is_counted():
    findings = Findings()
    held = {"metadata": {"finalizers": ["example.com/f"]}}
    findings.count(DEPLOYMENTS, [held, {"metadata": {}}])
    findings.count(CONFIG_MAPS, [held])
    found = said(findings)
    assert found[CONTENT] == (
        "True", "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 1 resource instances, "
        "deployments.apps has 2 resource instances",
    )  # fmt: skip
    assert found[FINALIZERS] == (
        "True", "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: "
        "example.com/f in 2 resource instances",
    )  # fmt: skip
    assert not findings.is_empty


@pytest.mark.parametrize(
    ("findings", "type_", "reason", "message"),
    [
        pytest.param(
            Findings(discovery=["no answer"]), "NamespaceDeletionDiscoveryFailure",
            "DiscoveryFailed", "no answer", id="discovery",
        ),
        pytest.param(
            Findings(errors=["b", "a"]), "NamespaceDeletionContentFailure", "ContentDeletionFailed",
            "Failed to delete all resource types, 2 remaining: a, b", id="content",
        ),
    ],
)  # fmt: skip
def test_failures_are_said_and_keep_the_namespace(findings, type_, reason, message):
    assert said(findings)[type_] == ("True", reason, message)
    assert not findings.is_empty


async def test_content_with_a_finalizer_keeps_the_namespace(make_world):
    async with make_world() as world:
        kept = {"metadata": {"name": "c", "namespace": "d", "finalizers": ["example.com/f"]}}
        world.api.put(CONFIG_MAPS, kept)
        await world.client.delete(NAMESPACES, "d")
        await world.step(30)
        namespace = world.api.object(NAMESPACES, "d")
        found = {c["type"]: c["message"] for c in namespace["status"]["conditions"]}
        assert found[CONTENT] == (
            "Some resources are remaining: configmaps. has 1 resource instances"
        )
        world.api.remove(CONFIG_MAPS, "c", "d")
        await world.step(100)
        assert world.api.object(NAMESPACES, "d") is None


async def test_nothing_but_pods_goes_while_there_are_pods(make_world):
    async with make_world() as world:
        pod = {"metadata": {"name": "p", "namespace": "d", "finalizers": ["example.com/f"]}}
        world.api.put(PODS, {**pod, "spec": {}})
        world.api.put(SECRETS, {"metadata": {"name": "s", "namespace": "d"}})
        await world.client.delete(NAMESPACES, "d")
        await world.step(30)
        assert world.api.object(PODS, "p", "d")["metadata"]["deletionTimestamp"]
        assert world.api.object(SECRETS, "s", "d") is not None
        world.api.remove(PODS, "p", "d")
        await world.step(100)
        assert world.api.object(NAMESPACES, "d") is None
