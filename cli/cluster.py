"""`quorate up|down|status|kill|pause|resume|start|stop|restart`."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.state import StateOption, fail, layout_of, run
from controlplane.local.cluster import AlreadyRunning, LocalCluster, make_state_folder
from controlplane.local.control import NotRunning, NotYours, ask, thaw
from controlplane.local.settings import (
    ClusterSettings,
    default_text,
    read_settings,
    with_free_ports,
)
from controlplane.local.topology import KINDS, Layout, PortInUse
from kvstore.base.clock import SystemClock
from kvstore.base.log import configure
from kvstore.base.settings import SettingsError
from kvstore.local.supervisor import NotReady

_NAMES = typer.Argument(
    help="master-1, master-1/store, node-2, leader, scheduler-leader, controllers-leader …",
    metavar="NAME…",
)


_DETACHED = "QUORATE_DETACHED"
"""Set for the supervisor that runs in the background."""


class Ports(StrEnum):
    """Where the cluster's ports come from."""

    FILE = "file"
    AUTO = "auto"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(env)
    config = typer.Typer(no_args_is_help=True, help="The cluster file.")
    config.command("default")(default_config)
    app.add_typer(config, name="config")
    for operation, text in (
        ("kill", "kill -9; stays down until `quorate start`."),
        ("pause", "Freeze (SIGSTOP): sockets stay open, nobody answers."),
        ("resume", "Go on after `pause`."),
        ("start", "Start what is down, and wait until it is ready."),
        ("stop", "Orderly stop (SIGTERM)."),
        ("restart", "Orderly stop, then start."),
    ):
        app.command(name=operation, help=text)(_operation(operation))


def _kinds(only: str | None) -> tuple[str, ...]:
    if only is None:
        return KINDS
    asked = [part.strip() for part in only.split(",") if part.strip()]
    wrong = [part for part in asked if part not in KINDS]
    if wrong or not asked:
        fail(f"--only {only}: expected some of {', '.join(KINDS)}, separated by commas", 2)
    kinds = tuple(kind for kind in KINDS if kind in asked)
    if "store" not in kinds:
        fail(f"--only {only}: everything stands on the store; say --only store,{only}", 2)
    if "apiserver" not in kinds and len(kinds) > 1:
        fail(f"--only {only}: {kinds[1]} needs the API server; add apiserver", 2)
    return kinds


def up(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The cluster file. [default: ./cluster.toml, else built in]"),
    ] = None,
    state: StateOption = None,
    masters: Annotated[int | None, typer.Option(min=1, max=9, help="How many masters.")] = None,
    nodes: Annotated[int | None, typer.Option(min=0, max=100, help="How many nodes.")] = None,
    only: Annotated[
        str | None, typer.Option(help=f"Only these kinds of process: {', '.join(KINDS)}.")
    ] = None,
    ports: Annotated[
        Ports,
        typer.Option(help="auto: free ports for everything, to run beside another cluster."),
    ] = Ports.FILE,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is ready.")
    ] = False,
) -> None:
    """Start the cluster of cluster.toml and keep it until Ctrl-C."""
    kinds = _kinds(only)
    if config is None and Path("cluster.toml").exists():
        config = Path("cluster.toml")
    try:
        settings = read_settings(config, masters=masters, nodes=nodes)
    except SettingsError as error:
        fail(str(error), 2)
    beside = config.resolve().parent if config is not None else Path.cwd()
    state_dir = state.resolve() if state is not None else beside / ".quorate"
    layout = Layout(state_dir)
    if detach:
        _detach(layout)
        return
    configure("quorate")
    try:
        settings = _at_ports(settings, layout, ports)
    except OSError as error:
        fail(f"cannot use {state_dir}: {error.strerror or error}")
    cluster = LocalCluster(settings, state_dir, kinds, SystemClock())
    raise typer.Exit(_run_loop(cluster))


def _at_ports(settings: ClusterSettings, layout: Layout, ports: Ports) -> ClusterSettings:
    """The settings with free ports, if that is wanted now or was at an earlier start of this state folder.

    Members of the store are known by their addresses: the choice stays.
    """
    make_state_folder(layout)
    marker = layout.state_dir / "ports.auto"
    if ports is Ports.AUTO:
        marker.touch()
    return with_free_ports(settings) if marker.exists() else settings


def _run_loop(cluster: LocalCluster) -> int:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(_up(cluster))
    return asyncio.run(_up(cluster))


async def _up(cluster: LocalCluster) -> int:
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    assert starting is not None
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if cluster.is_up:
            cluster.ask_stop()
        elif not interrupted:
            interrupted = True
            starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    # Frozen, it would answer no command while its children run on.
    loop.add_signal_handler(signal.SIGTSTP, _refuse_to_freeze)
    begun = SystemClock().monotonic()
    typer.echo(f"quorate: starting in {cluster.layout.state_dir}")
    try:
        await cluster.start(_print_progress)
    except (AlreadyRunning, PortInUse, NotReady, TimeoutError, ValueError, OSError) as error:
        typer.echo(f"quorate: {error}", err=True)
        return 1
    except asyncio.CancelledError:
        if not interrupted:
            raise
        typer.echo("quorate: interrupted; everything is stopped", err=True)
        return 130
    _print_screen(cluster.describe(), SystemClock().monotonic() - begun)
    await cluster.serve()
    typer.echo("quorate: stopping")
    await cluster.stop()
    typer.echo("quorate: stopped; the data stays in " + str(cluster.layout.state_dir))
    return 0


def _refuse_to_freeze() -> None:
    typer.echo(
        "quorate: Ctrl-Z is ignored; Ctrl-C stops everything, `up --detach` runs in the background"
    )


def _print_progress(name: str, address: str, seconds: float) -> None:
    typer.echo(f"  {name:<24} ready  {seconds:5.2f} s  {address}")


def _print_screen(cluster: dict[str, Any], seconds: float) -> None:
    lines = [
        "",
        f"ready after {seconds:.1f} s",
        "",
        f"  store        {','.join(cluster['store_endpoints'])}",
    ]
    if cluster["kubernetes"]:
        lines += [
            f"  kubernetes   {cluster['kubernetes']}  (one address over all API servers)",
            f"  kubeconfig   {cluster['kubeconfig']}",
        ]
    lines += [f"  environment  {cluster['env']}", "", "try, in another terminal:", ""]
    lines.append(f"  source {shlex.quote(cluster['env'])}")
    if cluster["kubernetes"]:
        lines += ["  kubectl get nodes -o wide      # or: quorate ctl get nodes", "  quorate demo"]
    else:
        lines += [
            "  etcdctl put greeting hello     # or: quorate kv put greeting hello",
            "  quorate kill leader",
        ]
    if _DETACHED not in os.environ:
        lines += ["", "Ctrl-C stops everything."]
    typer.echo("\n".join(lines))


def _detach(layout: Layout) -> None:
    """Run the same command without --detach in a session of its own, and wait until it is ready."""
    argv = [word for word in sys.argv[1:] if word not in ("--detach", "-d")]
    log_file = layout.state_dir / "logs" / "up.log"
    try:
        make_state_folder(layout)
        log_file.parent.mkdir(exist_ok=True)
    except OSError as error:
        fail(f"cannot use {layout.state_dir}: {error.strerror or error}")
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, _DETACHED: "1"},
        )
    clock = SystemClock()
    try:
        while child.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                cluster = json.loads(layout.cluster_file.read_text())
                if cluster["ready"] and cluster["pid"] == child.pid:
                    typer.echo(log_file.read_text(), nl=False)
                    typer.echo("\nRuns in the background: `quorate down` stops it.")
                    return
            asyncio.run(clock.sleep(0.1))
    except KeyboardInterrupt:
        os.kill(child.pid, signal.SIGTERM)
        child.wait()
    output = log_file.read_text().strip()
    typer.echo(output, err=True)
    raise typer.Exit(child.returncode or 1)


def down(
    state: StateOption = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the state folder as well.")] = False,
) -> None:
    """Stop the cluster; nothing is left running. Data stays unless --wipe."""
    layout = layout_of(state)
    try:
        run(_down(layout))
    except typer.Exit as error:
        if not (wipe and error.exit_code == 3 and layout.state_dir.is_dir()):
            raise
    if wipe:
        _wipe(layout)


async def _down(layout: Layout) -> None:
    thaw(layout)
    pid = (await ask(layout, "status"))["pid"]
    await ask(layout, "down")
    clock = SystemClock()
    deadline = clock.monotonic() + 60
    while clock.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            typer.echo("stopped")
            return
        if not layout.lock.exists():
            typer.echo("stopped")
            return
        await clock.sleep(0.05)
    fail(f"the supervisor (pid {pid}) did not end within 60 s")


def _wipe(layout: Layout) -> None:
    """Remove only what is ours: a folder that does not look like a state folder is refused."""
    import shutil

    if not (layout.state_dir / "ports.json").exists():
        fail(f"{layout.state_dir} does not look like a state folder (no ports.json): not removed")
    shutil.rmtree(layout.state_dir)
    typer.echo(f"removed {layout.state_dir}")


def env(state: StateOption = None) -> None:
    """Print what connects etcdctl, kubectl and clients to the cluster: eval "$(quorate env)"."""
    layout = layout_of(state)
    try:
        typer.echo(layout.env.read_text(), nl=False)
    except PermissionError:
        fail(str(NotYours(layout.state_dir)))
    except OSError:
        fail(str(NotRunning(layout.state_dir)), 3)


def default_config() -> None:
    """Print the cluster file that counts where there is none, with every key explained."""
    typer.echo(default_text(), nl=False)


def _operation(operation: str) -> Any:
    def command(names: Annotated[list[str], _NAMES], state: StateOption = None) -> None:
        answer = run(ask(layout_of(state), operation, names))
        for process in answer["processes"]:
            pid = f"  pid {process['pid']}" if process["pid"] else ""
            typer.echo(f"{process['name']:<24} {process['state']}{pid}")
        if answer["not_ready"]:
            fail(f"not ready in time: {', '.join(answer['not_ready'])}")

    command.__name__ = operation
    command.__doc__ = operation
    return command


def status(
    state: StateOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Processes, store members and leader, who leads scheduler and controllers, nodes."""
    if output not in ("text", "json"):
        fail(f"-o {output}: expected text or json", 2)
    layout = layout_of(state)
    from cli.status import gather, render

    async def collect() -> dict[str, Any]:
        return await gather(await ask(layout, "status"))

    document = run(collect())
    typer.echo(json.dumps(document, indent=2) if output == "json" else render(document))
