"""GET /stats/summary and /metrics/resource: what the node, its pods and their containers use.

Source of the forms: k8s.io/kubelet/pkg/apis/stats/v1alpha1, pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from controlplane.api.meta import View
from controlplane.api.times import to_rfc3339
from controlplane.client.indexer import Indexer
from controlplane.kubelet.node.usage import NodeUsage
from controlplane.kubelet.runtimes.interface import ContainerRuntime, ContainerState, ContainerUsage
from kvstore.base.clock import Clock

Json = dict[str, Any]
Running = tuple[str, float, ContainerUsage]
"""Name, start and use of a running container."""

_NANO = 1_000_000_000
_METRICS = {
    "container_cpu_usage_seconds_total": ("counter", "Processor time a container has used"),
    "container_memory_working_set_bytes": ("gauge", "Working set of a container"),
    "container_start_time_seconds": ("gauge", "Start of a container since the epoch"),
    "node_cpu_usage_seconds_total": ("counter", "Processor time the node has used"),
    "node_memory_working_set_bytes": ("gauge", "Working set of the node"),
    "pod_cpu_usage_seconds_total": ("counter", "Processor time a pod has used"),
    "pod_memory_working_set_bytes": ("gauge", "Working set of a pod"),
    "resource_scrape_error": ("gauge", "1 if something could not be measured"),
}


class Stats:
    """The endpoints."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        pods: Indexer,
        clock: Clock,
        node_name: str,
        read_node: Callable[[], NodeUsage],
    ) -> None:
        self._runtime = runtime
        self._pods = pods
        self._clock = clock
        self._node_name = node_name
        self._read_node = read_node

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [
            web.get("/stats/summary", self._summary),
            web.get("/metrics/resource", self._resource),
        ]

    async def _summary(self, request: web.Request) -> web.Response:
        now = self._clock.time()
        body = summary(self._node_name, self._read_node(), await self._measured(), now)
        return web.Response(text=json.dumps(body), content_type="application/json")

    async def _resource(self, request: web.Request) -> web.Response:
        text = resource_metrics(self._read_node(), await self._measured(), self._clock.time())
        return web.Response(text=text, content_type="text/plain")

    async def _measured(self) -> list[tuple[View, list[Running]]]:
        usage = await self._runtime.usage()
        return [
            (
                pod,
                [
                    (status.name, status.started_at, usage[status.id])
                    for status in self._runtime.list_containers(str(pod["metadata"]["uid"]))
                    if status.state is ContainerState.RUNNING and status.id in usage
                ],
            )
            for pod in self._pods.list()
        ]


def summary(
    name: str, node: NodeUsage, pods: Iterable[tuple[View, list[Running]]], now: float
) -> Json:
    """The body of /stats/summary; pods of which nothing runs are left out."""
    time = to_rfc3339(now)
    own: Json = {
        "nodeName": name,
        "startTime": to_rfc3339(node.started_at),
        "cpu": _cpu(time, node.cpu_seconds),
        "memory": {
            **_memory(time, node.working_set, node.working_set),
            "availableBytes": node.memory_available,
        },
        "fs": {
            "time": time,
            "availableBytes": node.disk_available,
            "capacityBytes": node.disk_total,
            "usedBytes": node.disk_total - node.disk_available,
            "inodesFree": node.inodes_free,
            "inodes": node.inodes,
            "inodesUsed": node.inodes - node.inodes_free,
        },
    }
    return {"node": own, "pods": [_pod(pod, running, time) for pod, running in pods if running]}


def _pod(pod: View, running: list[Running], time: str) -> Json:
    meta = pod["metadata"]
    whole = _together(running)
    return {
        "podRef": {
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "uid": meta["uid"],
        },
        "startTime": (pod.get("status") or {}).get("startTime") or time,
        "containers": [
            {
                "name": name,
                "startTime": to_rfc3339(started),
                "cpu": _cpu(time, usage.cpu_seconds),
                "memory": _memory(time, usage.memory_bytes, usage.working_set_bytes),
            }
            for name, started, usage in running
        ],
        "cpu": _cpu(time, whole.cpu_seconds),
        "memory": _memory(time, whole.memory_bytes, whole.working_set_bytes),
    }


def _together(running: list[Running]) -> ContainerUsage:
    return ContainerUsage(
        sum(usage.cpu_seconds for _, _, usage in running),
        sum(usage.memory_bytes for _, _, usage in running),
        sum(usage.working_set_bytes for _, _, usage in running),
    )


def _cpu(time: str, seconds: float) -> Json:
    return {"time": time, "usageCoreNanoSeconds": round(seconds * _NANO)}


def _memory(time: str, used: int, working_set: int) -> Json:
    return {"time": time, "usageBytes": used, "workingSetBytes": working_set}


def resource_metrics(
    node: NodeUsage, pods: Iterable[tuple[View, list[Running]]], now: float
) -> str:
    """The body of /metrics/resource."""
    stamp = f" {round(now * 1000)}"
    rows: dict[str, list[str]] = {name: [] for name in _METRICS}
    rows["node_cpu_usage_seconds_total"].append(f" {node.cpu_seconds!r}{stamp}")
    rows["node_memory_working_set_bytes"].append(f" {node.working_set}{stamp}")
    rows["resource_scrape_error"].append(" 0")
    for pod, running in pods:
        if not running:
            continue
        meta = pod["metadata"]
        where = f'namespace="{meta.get("namespace", "")}",pod="{meta["name"]}"'
        for name, started, usage in running:
            labels = f'{{container="{name}",{where}}}'
            rows["container_cpu_usage_seconds_total"].append(
                f"{labels} {usage.cpu_seconds!r}{stamp}"
            )
            rows["container_memory_working_set_bytes"].append(
                f"{labels} {usage.working_set_bytes}{stamp}"
            )
            rows["container_start_time_seconds"].append(f"{labels} {started!r}")
        whole = _together(running)
        rows["pod_cpu_usage_seconds_total"].append(f"{{{where}}} {whole.cpu_seconds!r}{stamp}")
        rows["pod_memory_working_set_bytes"].append(f"{{{where}}} {whole.working_set_bytes}{stamp}")
    lines = []
    for name, (kind, words) in _METRICS.items():
        lines += [f"# HELP {name} [STABLE] {words}", f"# TYPE {name} {kind}"]
        lines += [name + row for row in rows[name]]
    return "\n".join(lines) + "\n"
