"""The comparison: every workload on both stores in alternating rounds, then their lives and memory.

Both clusters run at once and are idle while the other is loaded. Turns change from round to round, so that a drift of
the machine's speed favours neither; only ratios of one run mean anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.bench_check import check_perf
from cli.bench_cluster import OURS, StoreCluster
from cli.bench_lifecycle import (
    fill,
    memory_after_puts,
    memory_and_restart,
    time_to_first_write,
    time_to_next_write,
)
from cli.bench_measure import Row, measure
from kvstore.testing.load.spec import Figures, LoadSpec

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A workload with its numbers."""

    workload: str
    clients: int
    is_spread: bool = False
    """Over all members, instead of all at the leader."""
    connections: int = 0
    value_size: int = 256

    @property
    def name(self) -> str:
        """What the table calls it."""
        parts = [self.workload, f"{self.clients} clients" if self.clients > 1 else "1 client"]
        if self.is_spread:
            parts.append("spread")
        if self.value_size != 256:
            parts.append(f"{self.value_size // 1024} KiB")
        return ", ".join(parts)


CASES = (
    Case("put", 1),
    Case("put", 64),
    Case("put", 256),
    Case("put", 64, is_spread=True),
    Case("get", 1),
    Case("get", 64),
    Case("get", 64, is_spread=True),
    Case("get-serializable", 64),
    Case("list-1000", 16),
    Case("txn-compare-put", 64),
    Case("txn-64-puts", 64),
    Case("mixed", 64),
    Case("kubernetes", 64),
    Case("lease-grant", 64),
    Case("lease-keep-alive", 64),
    Case("watch-latency", 1),
    Case("fan-out-streams", 1000, connections=10),
    Case("fan-out-watches", 1000, connections=10),
    # Last, for they leave their values behind, and all others would read those.
    Case("put", 64, value_size=1024),
    Case("put", 16, value_size=100 * 1024),
)


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """What to run. Times are seconds."""

    rounds: int = 5
    seconds: float = 2.0
    names: tuple[str, ...] = ()
    """Only cases whose workload is named; empty means all."""
    is_load_measured: bool = True
    is_life_measured: bool = True
    puts: int = 0
    """How many puts the memory-with-compaction row writes; 0 leaves the row out."""
    check_loads: tuple[str, ...] = ()
    """Loads of `etcdctl check perf` to run, each on empty stores."""


class Suite:
    """One comparison."""

    def __init__(
        self, theirs: Sequence[str] | None, directory: Path, options: SuiteOptions, say: Say
    ) -> None:
        self._programs = {"ours": OURS, **({"etcd": tuple(theirs)} if theirs else {})}
        self._directory = directory
        self._options = options
        self._say = say
        self.rows: list[Row] = []

    async def run(self) -> list[Row]:
        """All rows. Raises ValueError, TimeoutError or OSError with a sentence."""
        cases = [
            case
            for case in CASES
            if not self._options.names or case.workload in self._options.names
        ]
        if cases and self._options.is_load_measured:
            await self._run_cases(cases)
        if self._options.is_life_measured:
            await self._run_life()
        if self._options.puts:
            await self._run_memory()
        for load in self._options.check_loads:
            await self._run_check(load)
        return self.rows

    def _turns(self, number: int) -> list[str]:
        names = list(self._programs)
        return names if number % 2 == 0 else names[::-1]

    def _row(self, name: str, unit: str, *, is_rate: bool) -> Row:
        row = Row(name, unit, is_rate)
        self.rows.append(row)
        return row

    def _add(self, row: Row, name: str, value: float) -> None:
        (row.ours if name == "ours" else row.theirs).append(value)

    async def _run_cases(self, cases: Sequence[Case]) -> None:
        async with asyncio.timeout(3600):
            clusters = {
                name: StoreCluster(program, self._directory / f"load-{name}")
                for name, program in self._programs.items()
            }
            try:
                for cluster in clusters.values():
                    await cluster.__aenter__()
                    await fill(cluster, 10_000)
                for case in cases:
                    await self._run_case(case, clusters)
            finally:
                for cluster in clusters.values():
                    cluster.stop()

    async def _run_case(self, case: Case, clusters: dict[str, StoreCluster]) -> None:
        rate = self._row(case.name, "/s", is_rate=True)
        late = self._row("    p99", "ms", is_rate=False)
        cost = self._row("    CPU of all members an operation", "µs", is_rate=False)
        shares: list[float] = []
        for number in range(self._options.rounds):
            for name in self._turns(number):
                figures = await self._measure(case, clusters[name], number)
                if figures.errors:
                    self._say(
                        f"{case.name}, {name}: {figures.errors} errors: {figures.first_error}"
                    )
                self._add(rate, name, figures.rate)
                self._add(late, name, figures.p99 * 1000)
                self._add(cost, name, figures.cpu_micros)
                shares.append(figures.load_cpu_seconds / figures.seconds)
        for row in (rate, late, cost):
            self._say(row.text())
        self._say(f"    load generator: {100 * max(shares):.0f} % of one core at most")

    async def _measure(self, case: Case, cluster: StoreCluster, number: int) -> Figures:
        leader = await cluster.leader()
        pids = [member.process.pid for member in cluster.members if member.process is not None]
        return await measure(
            LoadSpec(
                endpoints=cluster.endpoints if case.is_spread else [leader.client_url],
                workload=case.workload,
                clients=case.clients,
                connections=case.connections,
                seconds=self._options.seconds,
                value_size=case.value_size,
                seed=number + 1,
                pids=pids,
            )
        )

    async def _run_life(self) -> None:
        start = self._row("start to first write", "s", is_rate=False)
        failover = self._row("kill -9 of the leader to next write", "s", is_rate=False)
        memory = self._row("memory of a member, 100,000 keys", "MiB", is_rate=False)
        restart = self._row("restart with 100,000 keys to first write", "s", is_rate=False)
        for number in range(self._options.rounds):
            for name in self._turns(number):
                directory = self._directory / f"life-{name}-{number}"
                cluster = StoreCluster(self._programs[name], directory)
                try:
                    self._add(start, name, await time_to_first_write(cluster))
                    await cluster.wait_ready()
                    self._add(failover, name, await time_to_next_write(cluster))
                    size, seconds = await memory_and_restart(cluster)
                finally:
                    cluster.stop()
                self._add(memory, name, size)
                self._add(restart, name, seconds)
        for row in (start, failover, memory, restart):
            self._say(row.text())

    async def _run_check(self, load: str) -> None:
        row = self._row(f"etcdctl check perf --load={load}", "/s", is_rate=True)
        said = []
        for name, program in self._programs.items():
            async with StoreCluster(program, self._directory / f"check-{load}-{name}") as cluster:
                verdict = await check_perf(cluster, load)
            self._add(row, name, verdict.rate)
            said.append(f"    {name}: {verdict.text()}")
        self._say(row.text())
        for line in said:
            self._say(line)

    async def _run_memory(self) -> None:
        puts = self._options.puts
        row = self._row(f"memory after {puts:,} puts with compaction", "MiB", is_rate=False)
        for name, program in self._programs.items():
            async with StoreCluster(program, self._directory / f"memory-{name}") as cluster:
                self._add(row, name, await memory_after_puts(cluster, puts))
        self._say(row.text())
