"""Autoscalers over the real API server; what pods use is told by the test."""

from typing import Any

import pytest

from controlplane.api.errors import NotFound
from controlplane.controllers.hpa.metrics import Metrics
from controlplane.controllers.hpa.replicas import MetricError, Sample
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.kind import (
    HORIZONTAL_POD_AUTOSCALERS as AUTOSCALERS,
)
from controlplane.kinds.core.pod.resource import PODS

ONLY = (
    "--controllers=horizontal-pod-autoscaler-controller,deployment-controller,replicaset-controller"
)
NOBODY = (
    "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
    "the server could not find the requested resource (get pods.metrics.k8s.io)"
)


class Usage:
    """What each pod uses, in thousandths of a core; None: nobody serves it."""

    def __init__(self) -> None:
        self.milli: int | None = None
        self.queue: int | None = None
        self.world: Any = None

    def __call__(self, client: Any, kinds: Any) -> "Usage":
        return self

    async def of_resource(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> dict[str, Sample]:
        if self.milli is None:
            raise MetricError(NOBODY)
        now = self.world.clock.time()
        pods = self.world.api.objects(PODS)
        return {pod["metadata"]["name"]: Sample(self.milli, now) for pod in pods}

    async def external(self, namespace: str, name: str, selector: Any) -> int:
        if self.queue is None:
            raise MetricError(f"unable to get external metric {namespace}/{name}/nil: gone")
        return self.queue


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> Usage:
    made = Usage()
    monkeypatch.setattr("controlplane.controllers.hpa.reconciler.Metrics", made)
    return made


def autoscaler(name="h", target="web", **spec):
    """One for cpu at half of what is asked for."""
    return {
        "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "maxReplicas": 10,
            "metrics": [cpu(50)],
            **spec,
        },
    }


def cpu(percent):
    """A metric of cpu."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def web(make_deployment, replicas):
    """A Deployment whose pods ask for a core."""
    made = make_deployment("web", replicas)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1"}}
    return made


def age(world):
    """Pods are ready since long, so that their use counts."""
    old = "1970-01-01T00:00:00Z"
    for pod in world.api.objects(PODS):
        pod["status"]["startTime"] = old
        for row in pod["status"].get("conditions") or ():
            row["lastTransitionTime"] = old
        world.api.put(PODS, pod)


async def settle(world, rounds=1):
    """Let so many periods pass."""
    for _ in range(rounds):
        age(world)
        await world.step(16, 1.0)


def status_of(world, name="h"):
    """Its status, conditions as reasons by type."""
    status = world.api.object(AUTOSCALERS, name, "d")["status"]
    rows = {row["type"]: row for row in status.get("conditions") or ()}
    return status, {kind: (row["status"], row["reason"]) for kind, row in rows.items()}


def replicas(world):
    """How many pods the Deployment wants."""
    return world.api.object(DEPLOYMENTS, "web", "d")["spec"]["replicas"]


async def test_a_busy_workload_grows_and_shrinks_when_the_window_is_over(
    make_world, make_deployment, usage
):
    async with make_world(ONLY) as world:
        usage.world, usage.milli = world, 1000
        await world.client.create(DEPLOYMENTS, web(make_deployment, 2))
        await world.step(10)
        age(world)
        await world.client.create(AUTOSCALERS, autoscaler())
        await world.step(5)
        assert replicas(world) == 4
        status, reasons = status_of(world)
        assert reasons == {
            "AbleToScale": ("True", "SucceededRescale"),
            "ScalingActive": ("True", "ValidMetricFound"),
            "ScalingLimited": ("False", "DesiredWithinRange"),
        }
        assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
        current = status["currentMetrics"][0]["resource"]["current"]
        assert current == {"averageUtilization": 100, "averageValue": "1"}
        assert world.events("SuccessfulRescale") == [
            "New size: 4; reason: cpu resource utilization (percentage of request) above target"
        ]
        usage.milli = 100
        await settle(world, 3)
        assert replicas(world) == 4
        assert status_of(world)[1]["AbleToScale"] == ("True", "ScaleDownStabilized")
        await settle(world, 19)
        assert replicas(world) == 1
        assert world.events("SuccessfulRescale")[-1] == (
            "New size: 1; reason: All metrics below target"
        )


async def test_bounds_need_no_metrics(make_world, make_deployment, usage):
    async with make_world(ONLY) as world:
        usage.world = world
        await world.client.create(DEPLOYMENTS, web(make_deployment, 1))
        await world.step(5)
        await world.client.create(AUTOSCALERS, autoscaler(minReplicas=2))
        await world.step(5)
        assert replicas(world) == 2
        assert world.events("SuccessfulRescale") == [
            "New size: 2; reason: Current number of replicas below Spec.MinReplicas"
        ]


async def test_without_metrics_nothing_is_done_and_all_is_told(make_world, make_deployment, usage):
    async with make_world(ONLY) as world:
        usage.world = world
        await world.client.create(DEPLOYMENTS, web(make_deployment, 3))
        await world.step(5)
        await world.client.create(AUTOSCALERS, autoscaler())
        await world.step(5)
        assert replicas(world) == 3
        status, reasons = status_of(world)
        assert reasons["ScalingActive"] == ("False", "FailedGetResourceMetric")
        assert status["currentMetrics"] == [{"type": ""}]
        inner = f"failed to get cpu utilization: {NOBODY}"
        assert world.events("FailedGetResourceMetric") == [inner]
        assert world.events("FailedComputeMetricsReplicas") == [
            "invalid metrics (1 invalid out of 1), first error is: "
            f"failed to get cpu resource metric value: {inner}"
        ]


async def test_a_metric_that_fails_stops_shrinking_only(make_world, make_deployment, usage):
    external = {
        "type": "External",
        "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"}},
    }
    async with make_world(ONLY) as world:
        usage.world, usage.queue = world, 40_000
        await world.client.create(DEPLOYMENTS, web(make_deployment, 2))
        await world.step(5)
        await world.client.create(AUTOSCALERS, autoscaler(metrics=[cpu(50), external]))
        await world.step(5)
        assert replicas(world) == 4
        usage.queue = 1_000
        await settle(world, 25)
        assert replicas(world) >= 4
        assert status_of(world)[1]["ScalingActive"] == ("False", "FailedGetResourceMetric")


async def test_targets_that_cannot_be_scaled(make_world, make_deployment, usage):
    async with make_world(ONLY) as world:
        usage.world = world
        await world.client.create(AUTOSCALERS, autoscaler(target="nope"))
        other = autoscaler("k")
        other["spec"]["scaleTargetRef"] = {
            "apiVersion": "x.example.com/v1", "kind": "Foo", "name": "x",
        }  # fmt: skip
        await world.client.create(AUTOSCALERS, other)
        await world.step(5)
        assert sorted(world.events("FailedGetScale")) == [
            'deployments.apps "nope" not found',
            'no matches for kind "Foo" in group "x.example.com"',
        ]
        assert status_of(world)[1] == {"AbleToScale": ("False", "FailedGetScale")}


async def test_a_target_of_zero_is_left_alone(make_world, make_deployment, usage):
    async with make_world(ONLY) as world:
        usage.world = world
        await world.client.create(DEPLOYMENTS, web(make_deployment, 0))
        await world.client.create(AUTOSCALERS, autoscaler())
        await world.step(5)
        assert replicas(world) == 0
        assert status_of(world)[1]["ScalingActive"] == ("False", "ScalingDisabled")


async def test_two_for_the_same_pods_do_nothing(make_world, make_deployment, usage):
    async with make_world(ONLY) as world:
        usage.world, usage.milli = world, 1000
        await world.client.create(DEPLOYMENTS, web(make_deployment, 1))
        await world.step(8)
        for name in ("a", "b"):
            await world.client.create(AUTOSCALERS, autoscaler(name))
        await world.step(5)
        await settle(world)
        text = "pods by selector app=web are controlled by multiple HPAs: [d/a d/b]"
        assert text in world.events("AmbiguousSelector")
        for name in ("a", "b"):
            assert status_of(world, name)[1]["ScalingActive"] == ("False", "AmbiguousSelector")


class Server:
    """Answers of the metrics APIs by path."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.queries: list[Any] = []

    async def get_path(self, path: str, *, query: Any = None) -> Any:
        self.queries.append(query)
        if path not in self.answers:
            raise NotFound("no")
        return self.answers[path]


class Kinds:
    """Discovery that knows Services."""

    async def find(self, api_version: str, kind: str) -> Any:
        class Row:
            group_resource = "services"

        return Row if kind == "Service" else None


async def test_resource_metrics_are_summed_over_containers():
    items = [
        {
            "metadata": {"name": "p"},
            "timestamp": "1970-01-01T00:01:00Z",
            "window": "30s",
            "containers": [
                {"name": "a", "usage": {"cpu": "100m"}},
                {"name": "b", "usage": {"cpu": "1"}},
            ],
        },
        {"metadata": {"name": "q"}, "containers": [{"name": "a", "usage": {"memory": "1"}}]},
    ]
    metrics: Any = Metrics(
        Server({"/apis/metrics.k8s.io/v1beta1/namespaces/d/pods": {"items": items}}),  # type: ignore[arg-type]
        Kinds(),  # type: ignore[arg-type]
    )
    assert await metrics.of_resource("d", "app=x", "cpu", "") == {"p": Sample(1100, 60.0, 30.0)}
    assert await metrics.of_resource("d", "app=x", "cpu", "b") == {"p": Sample(1000, 60.0, 30.0)}


async def test_custom_and_external_metrics():
    base = "/apis/custom.metrics.k8s.io"
    value = {"describedObject": {"name": "p"}, "value": "1500m", "windowSeconds": 5}
    server = Server(
        {
            base: {"versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]},
            f"{base}/v1beta2/namespaces/d/pods/*/hits": {"items": [value]},
            f"{base}/v1beta2/namespaces/d/services/s/hits": {"items": [value]},
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/d/queue": {
                "items": [{"value": "2"}, {"value": "500m"}]
            },
        }
    )
    metrics = Metrics(server, Kinds())  # type: ignore[arg-type]
    assert await metrics.of_pods("d", "app=x", "hits", "") == {"p": Sample(1500, 0.0, 5.0)}
    assert await metrics.of_object("d", {"kind": "Service", "name": "s"}, "hits", "") == 1500
    assert await metrics.external("d", "queue", {"matchLabels": {"q": "1"}}) == 2500
    assert server.queries[-1] == {"labelSelector": "q=1"}


async def test_words_where_nobody_serves_metrics():
    metrics = Metrics(Server({}), Kinds())  # type: ignore[arg-type]
    with pytest.raises(MetricError) as raised:
        await metrics.of_resource("d", "", "cpu", "")
    assert str(raised.value) == NOBODY
    with pytest.raises(MetricError) as raised:
        await metrics.of_object("d", {"kind": "Service", "name": "s"}, "o", "")
    assert str(raised.value) == (
        "unable to get metric o: Service on d s/unable to fetch metrics from custom metrics API: "
        "no custom metrics API (custom.metrics.k8s.io) registered"
    )
    with pytest.raises(MetricError) as raised:
        await metrics.external("d", "e", None)
    assert str(raised.value) == (
        "unable to get external metric d/e/nil: unable to fetch metrics from external metrics "
        "API: the server could not find the requested resource (get e.external.metrics.k8s.io)"
    )
