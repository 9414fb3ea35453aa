"""From one metric of an autoscaler to the count it asks for, its status, and upstream's words for both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import quantity
from controlplane.api.meta import Obj, View
from controlplane.api.selectors import LabelSelector
from controlplane.controllers.hpa.metrics import Metrics
from controlplane.controllers.hpa.replicas import (
    MetricError,
    Proposal,
    Timing,
    Tolerances,
    average_replicas,
    milli,
    per_pod_replicas,
    ratio_replicas,
    utilization_replicas,
)


@dataclass(frozen=True, slots=True)
class Target:
    """The workload: counts of its scale, and its pods."""

    namespace: str
    wanted: int
    there: int
    selector: str
    pods: Sequence[Obj]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a metric asks for, how people call it, and what is told of it."""

    replicas: int
    name: str
    status: Obj


class FailedMetric(Exception):
    """A metric that cannot be had: the reason of the event, its message, and what it means for the whole."""

    def __init__(self, reason: str, message: str, whole: str) -> None:
        super().__init__(whole)
        self.reason = reason
        self.message = message


_WHOLE = {
    "Object": ("object", "FailedGetObjectMetric", "failed to get object metric value"),
    "Pods": ("pods", "FailedGetPodsMetric", "failed to get pods metric value"),
    "Resource": ("resource", "FailedGetResourceMetric", ""),
    "ContainerResource": ("containerResource", "FailedGetContainerResourceMetric", ""),
    "External": ("external", "FailedGetExternalMetric", ""),
}


class Evaluator:
    """Asks one metric."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def ask(
        self, metric: View, target: Target, tolerances: Tolerances, timing: Timing
    ) -> Answer:
        """The count. Raises FailedMetric."""
        kind = str(metric.get("type"))
        key, reason, whole = _WHOLE[kind]
        source = metric[key]
        try:
            if kind == "Resource":
                whole = f"failed to get {source['name']} resource metric value"
                return await self._resource(source, "", target, tolerances, timing)
            if kind == "ContainerResource":
                whole = f"failed to get {source['container']} container metric value"
                name = str(source["container"])
                return await self._resource(source, name, target, tolerances, timing)
            if kind == "Pods":
                return await self._pods(source, target, tolerances, timing)
            if kind == "Object":
                return await self._object(source, target, tolerances)
            whole = f"failed to get {source['metric']['name']} external metric value"
            return await self._external(source, target, tolerances)
        except MetricError as problem:
            inner = str(problem)
            if kind == "External":
                name = source["metric"]["name"]
                is_average = source["target"].get("averageValue") is not None
                words = f"{name} external metric" if is_average else f"external metric {name}"
                inner = f"failed to get {words}: {problem}"
            elif kind == "Object" and source["target"].get("type") == "AverageValue":
                inner = f"failed to get {source['metric']['name']} object metric: {problem}"
            raise FailedMetric(reason, str(problem), f"{whole}: {inner}") from problem

    async def _resource(
        self,
        source: View,
        container: str,
        target: Target,
        tolerances: Tolerances,
        timing: Timing,
    ) -> Answer:
        resource, goal = str(source["name"]), source["target"]
        is_average = goal.get("averageValue") is not None
        try:
            samples = await self._metrics.of_resource(
                target.namespace, target.selector, resource, container
            )
            if is_average:
                proposal = average_replicas(
                    target.wanted,
                    milli(goal["averageValue"]),
                    samples,
                    target.pods,
                    resource,
                    tolerances,
                    timing,
                )
            else:
                proposal = utilization_replicas(
                    target.wanted,
                    int(goal["averageUtilization"]),
                    samples,
                    target.pods,
                    resource,
                    container,
                    tolerances,
                    timing,
                )
        except MetricError as problem:
            word = "usage" if is_average else "utilization"
            raise MetricError(f"failed to get {resource} {word}: {problem}") from problem
        current: Obj = {"averageValue": _amount(proposal.usage, resource)}
        if proposal.utilization is not None:
            current["averageUtilization"] = proposal.utilization
        row: Obj = {"name": resource, "current": current}
        kind, key = "Resource", "resource"
        words = f"{resource} resource"
        if container:
            kind, key = "ContainerResource", "containerResource"
            row["container"] = container
        if not is_average:
            words = f"{resource} {'container ' if container else ''}resource utilization (percentage of request)"
        return Answer(proposal.replicas, words, {"type": kind, key: row})

    async def _pods(
        self, source: View, target: Target, tolerances: Tolerances, timing: Timing
    ) -> Answer:
        metric = source["metric"]
        samples = await self._metrics.of_pods(
            target.namespace, target.selector, str(metric["name"]), _selector(metric)
        )
        proposal = average_replicas(
            target.wanted,
            milli(source["target"]["averageValue"]),
            samples,
            target.pods,
            "",
            tolerances,
            timing,
        )
        status = {"metric": dict(metric), "current": {"averageValue": _amount(proposal.usage)}}
        words = f"pods metric {metric['name']}"
        return Answer(proposal.replicas, words, {"type": "Pods", "pods": status})

    async def _object(self, source: View, target: Target, tolerances: Tolerances) -> Answer:
        metric, goal, described = source["metric"], source["target"], source["describedObject"]
        usage = await self._metrics.of_object(
            target.namespace, described, str(metric["name"]), _selector(metric)
        )
        proposal, current = _of_one_value(usage, goal, target, tolerances)
        words = f"{described['kind']} metric {metric['name']}"
        if "averageValue" in current:
            # Compat: upstream calls it so.
            words = _external_words(metric)
        status = {"metric": dict(metric), "current": current, "describedObject": dict(described)}
        return Answer(proposal.replicas, words, {"type": "Object", "object": status})

    async def _external(self, source: View, target: Target, tolerances: Tolerances) -> Answer:
        metric = source["metric"]
        usage = await self._metrics.external(
            target.namespace, str(metric["name"]), metric.get("selector")
        )
        proposal, current = _of_one_value(usage, source["target"], target, tolerances)
        status = {"metric": dict(metric), "current": current}
        return Answer(
            proposal.replicas, _external_words(metric), {"type": "External", "external": status}
        )


def _external_words(metric: View) -> str:
    selector = metric.get("selector")
    shown = (
        "nil" if selector is None else f"&LabelSelector{{{LabelSelector.from_object(selector)}}}"
    )
    return f"external metric {metric['name']}({shown})"


def _of_one_value(
    usage: int, goal: View, target: Target, tolerances: Tolerances
) -> tuple[Proposal, Obj]:
    """By the value as it is, or by the value a pod."""
    if goal.get("averageValue") is not None:
        proposal = per_pod_replicas(target.there, usage, milli(goal["averageValue"]), tolerances)
        return proposal, {"averageValue": _amount(proposal.usage)}
    ratio = usage / milli(goal["value"])
    count = ratio_replicas(target.wanted, ratio, target.pods, tolerances)
    return Proposal(count, usage), {"value": _amount(usage)}


def _selector(metric: View) -> str:
    selector: Any = metric.get("selector")
    return "" if selector is None else str(LabelSelector.from_object(selector))


def _amount(thousandths: int, resource: str = "") -> str:
    """The text of an amount, in the family its resource is counted in."""
    style = "binary" if resource == "memory" else "decimal"
    return quantity.canonical(quantity.format(quantity.parse(f"{thousandths}m"), style))
