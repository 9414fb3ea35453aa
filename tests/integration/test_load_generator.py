"""Every workload of the load generator against real members: ours, and etcd where installed. No figure is judged."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cli.bench_cluster import OURS, StoreCluster, etcd_program
from cli.bench_measure import Row, measure
from cli.bench_suite import CASES
from kvstore.testing.load.spec import LoadSpec

WORKLOADS = sorted({case.workload for case in CASES})


@pytest.fixture(params=["ours", "etcd"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreCluster]:
    program = OURS if request.param == "ours" else etcd_program()
    if program is None:
        pytest.skip("etcd is not installed")
    async with StoreCluster(program, tmp_path, size=1) as cluster:
        yield cluster


async def test_every_workload_runs_without_errors(cluster: StoreCluster) -> None:
    [member] = cluster.members
    assert member.process is not None
    filled = await measure(
        LoadSpec(endpoints=cluster.endpoints, workload="fill", clients=2, keys=1200)
    )
    assert (filled.errors, filled.first_error) == (0, "")
    assert filled.operations * 64 >= 1200
    async with cluster.client() as client:
        found = await client.get(b"bench/", range_end=b"bench0", count_only=True)
    assert found.count == 1200
    for workload in WORKLOADS:
        spec = LoadSpec(
            endpoints=cluster.endpoints,
            workload=workload,
            clients=200 if workload.startswith("fan-out") else 3,
            connections=2,
            keys=1200,
            seconds=0.2,
            warmup_seconds=0.1,
            pids=[member.process.pid],
        )
        figures = await measure(spec)
        if not figures.operations:
            # A machine at work may take longer to open 200 watches.
            figures = await measure(msgspec.structs.replace(spec, seconds=10.0))
        assert (workload, figures.errors, figures.first_error) == (workload, 0, "")
        assert figures.operations > 0, workload
        assert figures.p50 <= figures.p99 <= figures.worst, workload
        assert len(figures.server_cpu_seconds) == 1


async def test_values_larger_than_the_flow_control_windows_arrive(cluster: StoreCluster) -> None:
    figures = await measure(
        LoadSpec(
            endpoints=cluster.endpoints,
            workload="put",
            clients=4,
            connections=1,
            keys=10,
            value_size=300_000,
            seconds=0.3,
        )
    )
    assert (figures.errors, figures.first_error) == (0, "")
    assert figures.operations > 0
    async with cluster.client() as client:
        found = await client.get(b"bench/", range_end=b"bench0", limit=1)
    assert len(found.kvs[0].value) == 300_000


async def test_an_endpoint_that_does_not_answer_is_told() -> None:
    with pytest.raises(ValueError, match=r"Connect call failed|refused"):
        await measure(LoadSpec(endpoints=["http://127.0.0.1:1"], workload="put"))


async def test_an_unknown_workload_is_told() -> None:
    with pytest.raises(ValueError, match="unknown workload 'post'"):
        await measure(LoadSpec(endpoints=["http://127.0.0.1:1"], workload="post"))


def test_ratios_are_taken_round_by_round() -> None:
    row = Row("put", "/s", True, ours=[30.0, 10.0, 40.0], theirs=[10.0, 10.0, 20.0])
    assert row.ratios() == [3.0, 1.0, 2.0]
    assert row.document()["ratio"] == 2.0
    assert "2.00  [1.00 - 3.00]  (more is better)" in row.text()


def test_a_row_without_an_opponent_has_no_ratio() -> None:
    row = Row("put", "/s", True, ours=[30.0])
    assert row.document()["ratio"] is None
    assert "more is better" in row.text()
