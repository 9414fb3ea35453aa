"""A whole cluster in one process, on the machine's clock and on one that only moves when it is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import NotFound
from controlplane.api.meta import Obj
from controlplane.client.informer import Informer
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.batch.cron_job import CRON_JOBS
from controlplane.kinds.batch.job.kind import JOBS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.cluster import InProcessCluster
from controlplane.testing.hollow import Life
from kvstore.base.clock import ManualClock


def pod(name: str, image: str = "some/image:1", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def deployment(name: str, replicas: int) -> Obj:
    template = {"metadata": {"labels": {"app": name}}, **pod(name)}
    template["metadata"] = {"labels": {"app": name}}
    selector = {"matchLabels": {"app": name}}
    spec = {"replicas": replicas, "selector": selector, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def phase(cluster: InProcessCluster, name: str, wanted: str) -> Callable[[], bool]:
    def holds() -> bool:
        found = cluster.server.object(PODS, name, "default") or {}
        return (found.get("status") or {}).get("phase") == wanted

    return holds


def ready(cluster: InProcessCluster, name: str, replicas: int) -> Callable[[], bool]:
    def holds() -> bool:
        found = cluster.server.object(DEPLOYMENTS, name, "default") or {}
        return (found.get("status") or {}).get("readyReplicas") == replicas

    return holds


async def test_pods_run_and_go() -> None:
    async with InProcessCluster(nodes=2) as cluster:
        client = cluster.client()
        await client.create(PODS, pod("a"), "default")
        await cluster.until(phase(cluster, "a", "Running"))
        await client.create(DEPLOYMENTS, deployment("web", 3), "default")
        await cluster.until(ready(cluster, "web", 3))
        assert {one["spec"]["nodeName"] for one in cluster.server.objects(PODS)} == {
            "node-1",
            "node-2",
        }
        await client.delete(PODS, "a", "default", grace_period_seconds=0)
        await cluster.until(lambda: cluster.server.object(PODS, "a", "default") is None)


async def test_containers_live_as_their_rule_says() -> None:
    lives = [Life("work:*", seconds=30), Life("bad:*", seconds=1, exit_code=3)]
    async with InProcessCluster(clock=ManualClock(), lives=lives) as cluster:
        client = cluster.client()
        for name, image in (("good", "work:1"), ("bad", "bad:1"), ("endless", "server:1")):
            await client.create(PODS, pod(name, image, restartPolicy="Never"), "default")
        took = await cluster.until(phase(cluster, "good", "Succeeded"))
        assert 29 <= took <= 35
        assert phase(cluster, "bad", "Failed")()
        assert phase(cluster, "endless", "Running")()


async def test_a_silent_nodes_pods_are_replaced() -> None:
    async with InProcessCluster(nodes=2, clock=ManualClock()) as cluster:
        await cluster.client().create(DEPLOYMENTS, deployment("web", 2), "default")
        await cluster.until(ready(cluster, "web", 2))
        await cluster.stop_node("node-1")

        def all_on_the_other() -> bool:
            found = cluster.server.objects(PODS)
            return [one["spec"].get("nodeName") for one in found].count("node-2") == 2

        # 40 s until the node counts as silent, 300 s that its pods tolerate.
        assert 330 <= await cluster.until(all_on_the_other, seconds=600) <= 350
        cluster.start_node("node-1")
        await cluster.until(lambda: len(cluster.server.objects(PODS)) == 2, seconds=600)


async def test_an_hour_of_a_cron_job_takes_a_moment() -> None:
    async with InProcessCluster(clock=ManualClock(), lives=[Life(seconds=5)]) as cluster:
        template = {"spec": {"template": pod("x", restartPolicy="OnFailure")}}
        del template["spec"]["template"]["metadata"]
        spec = {
            "schedule": "*/10 * * * *",
            "jobTemplate": template,
            "successfulJobsHistoryLimit": 100,
        }
        await cluster.client().create(
            CRON_JOBS, {"metadata": {"name": "c"}, "spec": spec}, "default"
        )
        await cluster.advance(3600)
        jobs = cluster.server.objects(JOBS)
        assert len(jobs) == 6
        assert sum((job.get("status") or {}).get("succeeded", 0) for job in jobs) >= 5


async def test_a_checkpoint_is_restored_and_watches_see_it() -> None:
    async with InProcessCluster() as cluster:
        client = cluster.client()
        await client.create(
            CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "1"}}, "default"
        )
        state = cluster.checkpoint()
        informer = Informer(client, CONFIG_MAPS, cluster.clock)
        running = asyncio.ensure_future(informer.run())
        await informer.wait_synced()
        await client.create(DEPLOYMENTS, deployment("web", 2), "default")
        await cluster.until(ready(cluster, "web", 2))
        patch = {"data": {"a": "2"}, "metadata": {"finalizers": ["example.com/held"]}}
        await client.patch(CONFIG_MAPS, "kept", patch, "default")
        await cluster.restore(state)
        assert cluster.server.objects(DEPLOYMENTS) == []
        assert cluster.server.object(CONFIG_MAPS, "kept", "default") == {
            **(await client.get(CONFIG_MAPS, "kept", "default")),
        }

        def is_seen() -> bool:
            found = informer.indexer.get("kept", "default") or {}
            return found.get("data") == {"a": "1"} and "finalizers" not in found["metadata"]

        await cluster.until(is_seen)
        with pytest.raises(NotFound):
            await client.get(DEPLOYMENTS, "web", "default")
        # Controllers whose accounts came after the checkpoint work on.
        assert cluster.server.objects(SERVICE_ACCOUNTS, "kube-system")
        await client.create(DEPLOYMENTS, deployment("web", 1), "default")
        await cluster.until(ready(cluster, "web", 1))
        running.cancel()
        await asyncio.wait((running,))


async def test_time_that_nobody_waits_for_is_the_clocks() -> None:
    async with InProcessCluster(nodes=0) as cluster:
        with pytest.raises(TypeError, match="ManualClock"):
            await cluster.advance(1)
        with pytest.raises(TimeoutError, match=r"after 0\.1 s"):
            await cluster.until(lambda: False, seconds=0.1)
        with pytest.raises(KeyError, match="no node n"):
            cluster.start_node("n")


@pytest.mark.parametrize(
    ("given", "why"),
    [({"seconds": -1}, "must not be negative"), ({"exit_code": 256}, "0 to 255")],
    ids=["negative", "no_code"],
)
def test_rules_that_are_none(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Life(**given)
