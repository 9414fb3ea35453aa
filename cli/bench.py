"""`quorate bench`: compare with etcd, load any endpoint, time fail-overs. Prints figures and how to repeat them."""

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli.bench_api import WORKLOADS as API_WORKLOADS
from cli.bench_api import Bench, target_of
from cli.bench_check import CHECK_LOADS
from cli.bench_cluster import OURS, StoreCluster, etcd_program
from cli.bench_lifecycle import time_to_next_write
from cli.bench_measure import HEAD, measure, median
from cli.bench_scheduler import CASES as SCHEDULER_CASES
from cli.bench_scheduler import OURS as OUR_SCHEDULER
from cli.bench_scheduler import SchedulerBench
from cli.bench_suite import CASES, Suite, SuiteOptions
from controlplane.client.rest import RestClient
from kvstore.client.environment import running_cluster
from kvstore.client.errors import ClientError
from kvstore.testing.load.spec import LoadSpec

T = TypeVar("T")

app = typer.Typer(
    name="bench", no_args_is_help=True, help="Benchmarks, against any etcd endpoint too."
)

WORKLOADS = (*dict.fromkeys(case.workload for case in CASES), "fill")
EtcdPath = Annotated[
    str, typer.Option("--etcd", help="The etcd program to compare with. [default: from PATH]")
]


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(coroutine)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _check_names(names: list[str]) -> None:
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        typer.echo(f"Error: unknown workload {unknown[0]!r}: {', '.join(WORKLOADS)}", err=True)
        raise typer.Exit(2)


@app.command()
def compare(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each measures both in turn.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds a measurement.")] = 2.0,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A workload; again for more. [default: all]")
    ] = None,
    load: Annotated[bool, typer.Option(help="Measure the workloads.")] = True,
    life: Annotated[
        bool, typer.Option(help="Measure start, fail-over, memory and restart too.")
    ] = True,
    puts: Annotated[
        int, typer.Option(min=0, help="Measure memory after that many puts with compaction.")
    ] = 0,
    check_perf: Annotated[
        list[str] | None,
        typer.Option(
            "--check-perf",
            help="Run `etcdctl check perf` with this load: s, m, l or xl; again for more. A minute each.",
        ),
    ] = None,
    etcd: EtcdPath = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all rows there.")] = None,
) -> None:
    """The same load on three members of ours and of etcd, in alternating rounds, and the ratios.

    Without an etcd only ours is measured.
    """
    _check_names(only or [])
    unknown = [one for one in check_perf or [] if one not in CHECK_LOADS]
    if unknown:
        typer.echo(f"Error: unknown load {unknown[0]!r}: {', '.join(CHECK_LOADS)}", err=True)
        raise typer.Exit(2)
    theirs = (etcd,) if etcd else etcd_program()
    if theirs is None:
        typer.echo("etcd is not installed: ours alone is measured", err=True)
    options = SuiteOptions(
        rounds, seconds, tuple(only or ()), load, life, puts, tuple(check_perf or ())
    )
    directory = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
    typer.echo(HEAD)
    try:
        rows = _run(Suite(theirs, directory, options, typer.echo).run())
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if json_file is not None:
        json_file.write_text(json.dumps([row.document() for row in rows], indent=1) + "\n")


@app.command()
def load(
    workload: Annotated[str, typer.Argument(help=f"One of: {', '.join(WORKLOADS)}.")],
    endpoints: Annotated[
        str,
        typer.Option(
            envvar="ETCDCTL_ENDPOINTS",
            help="Comma-separated URLs. [default: the cluster running here]",
            show_default=False,
        ),
    ] = "",
    cacert: Annotated[
        str, typer.Option(envvar="ETCDCTL_CACERT", help="CA file of the servers.")
    ] = "",
    cert: Annotated[
        str, typer.Option(envvar="ETCDCTL_CERT", help="Certificate of the client.")
    ] = "",
    key: Annotated[str, typer.Option(envvar="ETCDCTL_KEY", help="Key of that certificate.")] = "",
    clients: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 64,
    conns: Annotated[
        int, typer.Option("--conns", min=0, help="Connections they share; 0: up to 64.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long.")] = 5.0,
    keys: Annotated[int, typer.Option(min=1000, help="How many keys there are.")] = 10_000,
    value_size: Annotated[int, typer.Option(min=0, help="Bytes a value.")] = 256,
) -> None:
    """One workload on any etcd v3 endpoints; `fill` writes the keys that the reading ones need."""
    _check_names([workload])
    chosen = [one.strip() for one in endpoints.split(",") if one.strip()]
    if not chosen:
        running, tls = running_cluster(os.environ, Path.cwd())
        chosen = list(running)
        if tls is not None and not cacert:
            cacert, cert, key = str(tls.ca_file), str(tls.cert_file), str(tls.key_file)
    if not chosen:
        typer.echo("Error: no cluster runs here, and no --endpoints were given", err=True)
        raise typer.Exit(3)
    spec = LoadSpec(
        endpoints=chosen,
        workload=workload,
        clients=clients,
        connections=conns,
        seconds=seconds,
        keys=keys,
        value_size=value_size,
        ca_file=cacert,
        cert_file=cert,
        key_file=key,
    )
    figures = _run(measure(spec))
    typer.echo(
        f"{workload}: {figures.rate:.0f} /s   p50 {figures.p50 * 1000:.2f} ms   "
        f"p99 {figures.p99 * 1000:.2f} ms   worst {figures.worst * 1000:.2f} ms   "
        f"errors {figures.errors}   load generator "
        f"{100 * figures.load_cpu_seconds / figures.seconds:.0f} % of a core"
    )
    if figures.errors:
        typer.echo(f"first error: {figures.first_error}", err=True)
        raise typer.Exit(1)


@app.command()
def failover(
    rounds: Annotated[int, typer.Option(min=1, help="How many leaders to kill.")] = 10,
    etcd: EtcdPath = "",
) -> None:
    """Kill -9 the leader of three fresh members, time the next acknowledged write, start it again; and so on."""
    program = (etcd,) if etcd else OURS

    async def run(directory: Path) -> list[float]:
        seconds = []
        async with StoreCluster(program, directory) as cluster:
            for number in range(rounds):
                took = await time_to_next_write(cluster)
                seconds.append(took)
                typer.echo(f"round {number + 1:>2}: {took * 1000:>7.0f} ms")
        return seconds

    directory = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
    try:
        seconds = _run(run(directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    typer.echo(
        f"kill -9 of the leader to the next acknowledged write, {rounds} times: "
        f"median {median(seconds) * 1000:.0f} ms, worst {max(seconds) * 1000:.0f} ms"
    )


@app.command()
def api(
    kubeconfig: Annotated[
        Path, typer.Option(envvar="KUBECONFIG", help="Who and where; the current context.")
    ],
    against: Annotated[
        Path | None, typer.Option(help="A kubeconfig of another API server, measured in turn.")
    ] = None,
    pid: Annotated[
        list[int] | None, typer.Option("--pid", help="A process of the server: its CPU is shown.")
    ] = None,
    against_pid: Annotated[
        list[int] | None, typer.Option("--against-pid", help="A process of the other server.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A workload; again for more. [default: all]")
    ] = None,
    clients: Annotated[int, typer.Option(min=1, help="Clients, a connection each.")] = 64,
    watchers: Annotated[int, typer.Option(min=0, help="Watches of one object.")] = 1000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds a measurement.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each measures both in turn.")] = 1,
) -> None:
    """GET, LIST of 500, create, patch, a mix and watches on one API server, or two in turn."""
    names = (*API_WORKLOADS, "watch")
    unknown = [name for name in only or [] if name not in names]
    if unknown:
        typer.echo(f"Error: unknown workload {unknown[0]!r}: {', '.join(names)}", err=True)
        raise typer.Exit(2)

    async def run() -> None:
        servers = {"this": Bench(target_of(kubeconfig), pid or [])}
        if against is not None:
            servers["other"] = Bench(target_of(against), against_pid or [])
        chosen = [name for name in names if not only or name in only]
        async with AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server)
            for workload in [name for name in chosen for _ in range(rounds)]:
                for name, server in servers.items():
                    await _measure_api(name, server, workload)

    async def _measure_api(name: str, server: Bench, workload: str) -> None:
        if workload == "watch":
            figures = await server.watch(watchers, seconds)
        else:
            figures = await server.run(workload, clients, seconds)
        typer.echo(
            f"{workload:<7} {name:<6} {figures.rate:>9.0f} /s   p50 {1000 * figures.at(0.5):>7.2f} ms   "
            f"p99 {1000 * figures.at(0.99):>7.2f} ms   {figures.cpu_micros:>7.0f} µs CPU each   "
            f"errors {figures.errors} {figures.first_error}   load generator "
            f"{100 * figures.load_cpu_seconds / figures.seconds:.0f} % of a core"
        )

    _run(run())


if __name__ == "__main__":
    app()


@app.command()
def scheduler(
    kubeconfig: Annotated[
        Path, typer.Option(envvar="KUBECONFIG", help="An API server without a scheduler.")
    ],
    against: Annotated[
        str, typer.Option(help="Another scheduler's program, measured in turn: kube-scheduler.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A case; again for more. [default: all]")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes, which are only objects.")] = 1000,
    init: Annotated[int, typer.Option(min=0, help="Pods that are bound before.")] = 0,
    pods: Annotated[int, typer.Option(min=1, help="Pods to schedule.")] = 3000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each measures both in turn.")] = 1,
) -> None:
    """Pods bound a second, by upstream's cases, beside the thresholds its CI demands of 5,000 nodes.

    The API server is one that nobody else works on: `quorate up --only store,apiserver`.
    """
    unknown = [name for name in only or [] if name not in SCHEDULER_CASES]
    if unknown:
        names = ", ".join(SCHEDULER_CASES)
        typer.echo(f"Error: unknown case {unknown[0]!r}: {names}", err=True)
        raise typer.Exit(2)
    programs = {"this": OUR_SCHEDULER, **({"other": (against,)} if against else {})}

    async def run() -> None:
        client = RestClient.from_kubeconfig(kubeconfig, user_agent="quorate-bench")
        typer.echo(
            f"{'case':30} {'program':8} {'pods/s':>8} {'threshold':>9} {'bound':>12} "
            f"{'seconds':>8} {'first':>6} {'CPU s':>6}"
        )
        try:
            bench = SchedulerBench(kubeconfig, client)
            for name in [n for n in SCHEDULER_CASES if not only or n in only]:
                case = SCHEDULER_CASES[name]
                for _, (which, program) in itertools.product(range(rounds), programs.items()):
                    outcome = await bench.run(case, nodes, init, pods, program)
                    typer.echo(
                        f"{name:30} {which:8} {outcome.pods_per_second:8.1f} {case.threshold:9} "
                        f"{f'{outcome.bound}/{outcome.asked}':>12} {outcome.seconds:8.2f} "
                        f"{outcome.first_seconds:6.2f} {outcome.cpu_seconds:6.1f}"
                    )
        finally:
            await client.close()

    _run(run())
