"""What a node tells of what is used."""

from controlplane.kubelet.node.usage import NodeUsage
from controlplane.kubelet.runtimes.interface import ContainerUsage
from controlplane.kubelet.server.stats import resource_metrics, summary

NOW = 1_700_000_100.0
NODE = NodeUsage(12.5, 1000, 400, 5000, 2000, 100, 60, 1_700_000_000.0)
POD = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
    "status": {"startTime": "2023-11-14T22:13:20Z"},
}
RUNNING = [
    ("a", 1_700_000_050.0, ContainerUsage(1.5, 300, 200)),
    ("b", 1_700_000_060.0, ContainerUsage(0.25, 30, 20)),
]
IDLE = {"metadata": {"name": "q", "namespace": "ns", "uid": "v"}}


def test_summary() -> None:
    body = summary("n1", NODE, [(POD, RUNNING), (IDLE, [])], NOW)
    node = body["node"]
    assert (node["nodeName"], node["startTime"]) == ("n1", "2023-11-14T22:13:20Z")
    assert node["cpu"]["usageCoreNanoSeconds"] == 12_500_000_000
    assert (node["memory"]["workingSetBytes"], node["memory"]["availableBytes"]) == (600, 400)
    assert (node["fs"]["usedBytes"], node["fs"]["inodesUsed"]) == (3000, 40)
    [pod] = body["pods"]
    assert pod["podRef"] == {"name": "p", "namespace": "ns", "uid": "u"}
    assert [one["name"] for one in pod["containers"]] == ["a", "b"]
    assert pod["cpu"]["usageCoreNanoSeconds"] == 1_750_000_000
    assert pod["memory"] == {
        "time": "2023-11-14T22:15:00Z", "usageBytes": 330, "workingSetBytes": 220,
    }  # fmt: skip


def test_metrics() -> None:
    lines = resource_metrics(NODE, [(POD, RUNNING), (IDLE, [])], NOW).splitlines()
    assert "# TYPE container_cpu_usage_seconds_total counter" in lines
    for line in (
        'container_cpu_usage_seconds_total{container="a",namespace="ns",pod="p"} 1.5 1700000100000',
        'container_memory_working_set_bytes{container="b",namespace="ns",pod="p"} 20 1700000100000',
        'container_start_time_seconds{container="a",namespace="ns",pod="p"} 1700000050.0',
        'pod_cpu_usage_seconds_total{namespace="ns",pod="p"} 1.75 1700000100000',
        'pod_memory_working_set_bytes{namespace="ns",pod="p"} 220 1700000100000',
        "node_cpu_usage_seconds_total 12.5 1700000100000",
        "node_memory_working_set_bytes 600 1700000100000",
        "resource_scrape_error 0",
    ):
        assert line in lines
    assert not [line for line in lines if 'pod="q"' in line]
