"""`quorate bench`: put, get, failover, compare. Prints its figures, and the command that repeats them."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli.bench_cluster import OURS, StoreCluster, etcd_program
from cli.bench_load import Load, LoadResult, median, run_load, time_to_next_write
from cli.kv_session import running_cluster
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls

T = TypeVar("T")

app = typer.Typer(
    name="bench", no_args_is_help=True, help="Benchmarks, against any etcd endpoint too."
)

Endpoints = Annotated[
    str,
    typer.Option(
        envvar="ETCDCTL_ENDPOINTS",
        help="Comma-separated URLs. [default: the cluster running here]",
        show_default=False,
    ),
]
CaCert = Annotated[str, typer.Option(envvar="ETCDCTL_CACERT", help="CA file of the servers.")]
Cert = Annotated[str, typer.Option(envvar="ETCDCTL_CERT", help="Certificate of the client.")]
Key = Annotated[str, typer.Option(envvar="ETCDCTL_KEY", help="Key of that certificate.")]
Clients = Annotated[int, typer.Option(min=1, help="Requests under way at once.")]
Connections = Annotated[int, typer.Option("--conns", min=1, help="Connections they share.")]
Total = Annotated[int, typer.Option(min=1, help="Requests in all.")]
ValueSize = Annotated[int, typer.Option(min=0, help="Bytes a value.")]
Serializable = Annotated[
    bool, typer.Option("--serializable", help="Reads of one member, may be old.")
]


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(coroutine)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _target(
    endpoints: str, ca_file: str, cert_file: str, key_file: str
) -> tuple[list[str], ClientTls | None]:
    chosen = [one.strip() for one in endpoints.split(",") if one.strip()]
    tls = ClientTls(ca_file, cert_file, key_file) if ca_file or cert_file or key_file else None
    if not chosen:
        running, running_tls = running_cluster()
        chosen, tls = list(running), tls or running_tls
    if not chosen:
        typer.echo("Error: no cluster runs here, and no --endpoints were given", err=True)
        raise typer.Exit(3)
    return chosen, tls


def _line(name: str, result: LoadResult) -> str:
    return (
        f"{name:<18} {result.rate:>9.0f} /s   p50 {result.quantile(0.5) * 1000:>7.2f} ms   "
        f"p99 {result.quantile(0.99) * 1000:>7.2f} ms   errors {result.errors}"
    )


@app.command()
def put(
    endpoints: Endpoints = "",
    cacert: CaCert = "",
    cert: Cert = "",
    key: Key = "",
    clients: Clients = 64,
    conns: Connections = 4,
    total: Total = 5000,
    value_size: ValueSize = 256,
) -> None:
    """Write under load."""
    target, tls = _target(endpoints, cacert, cert, key)
    load = Load("put", clients, conns, total, value_size)
    typer.echo(_line("put", _run(run_load(target, load, tls=tls))))


@app.command()
def get(
    endpoints: Endpoints = "",
    cacert: CaCert = "",
    cert: Cert = "",
    key: Key = "",
    clients: Clients = 64,
    conns: Connections = 4,
    total: Total = 5000,
    value_size: ValueSize = 256,
    serializable: Serializable = False,
) -> None:
    """Read under load; linearizable unless --serializable."""
    target, tls = _target(endpoints, cacert, cert, key)
    kind = "get-serializable" if serializable else "get"
    load = Load(kind, clients, conns, total, value_size)
    typer.echo(_line(kind, _run(run_load(target, load, tls=tls))))


@app.command()
def failover(
    rounds: Annotated[int, typer.Option(min=1, help="How many leaders to kill.")] = 10,
    etcd: Annotated[
        bool, typer.Option("--etcd", help="Measure the installed etcd instead of ours.")
    ] = False,
) -> None:
    """Kill -9 the leader of three fresh members, time the next acknowledged write, start it again; and so on."""
    program = etcd_program() if etcd else OURS
    if program is None:
        typer.echo("Error: etcd is not installed", err=True)
        raise typer.Exit(1)

    async def measure(directory: Path) -> list[float]:
        seconds = []
        async with StoreCluster(program, directory) as cluster:
            for number in range(rounds):
                took = await time_to_next_write(cluster, b"bench/failover/%d" % number)
                seconds.append(took)
                typer.echo(f"round {number + 1:>2}: {took * 1000:>7.0f} ms")
                for member in cluster.members:
                    if not member.is_running:
                        cluster.start(member)
                await cluster.wait_ready()
        return seconds

    directory = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
    try:
        seconds = _run(measure(directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    typer.echo(
        f"kill -9 of the leader to the next acknowledged write, {rounds} times: "
        f"median {median(seconds) * 1000:.0f} ms, worst {max(seconds) * 1000:.0f} ms"
    )


@app.command()
def compare(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each loads both stores in turn.")] = 3,
    clients: Clients = 64,
    conns: Connections = 4,
    total: Total = 2000,
    value_size: ValueSize = 256,
) -> None:
    """The same load on three members of ours and of the installed etcd, in turns, and the ratios."""
    theirs = etcd_program()
    if theirs is None:
        typer.echo("Error: etcd is not installed; compare needs it", err=True)
        raise typer.Exit(1)
    loads = [
        Load(kind, clients, conns, total, value_size) for kind in ("put", "get", "get-serializable")
    ]

    async def measure(directory: Path) -> dict[tuple[str, str], list[LoadResult]]:
        results: dict[tuple[str, str], list[LoadResult]] = {}
        async with (
            StoreCluster(OURS, directory / "ours") as ours,
            StoreCluster(theirs, directory / "etcd") as etcd,
        ):
            for number in range(rounds):
                for load in loads:
                    # Turns change from round to round, so a drift of the machine's speed favours neither.
                    pair = [("ours", ours), ("etcd", etcd)]
                    for name, cluster in pair if number % 2 == 0 else reversed(pair):
                        result = await run_load(cluster.endpoints, load)
                        results.setdefault((load.kind, name), []).append(result)
        return results

    directory = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
    try:
        results = _run(measure(directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    for load in loads:
        pairs = zip(results[load.kind, "ours"], results[load.kind, "etcd"], strict=True)
        ratios = [one.rate / other.rate if other.rate else 0.0 for one, other in pairs]
        for name in ("ours", "etcd"):
            middle = sorted(results[load.kind, name], key=lambda result: result.rate)[rounds // 2]
            typer.echo(_line(f"{load.kind} {name}", middle))
        typer.echo(f"{load.kind}: ours/etcd {median(ratios):.2f} (median of {rounds} rounds)\n")


if __name__ == "__main__":
    app()
