"""`quorate audit`: who did what in this cluster, from the audit logs of all API servers."""

import json
import time
from typing import Annotated

import typer

from cli.state import StateOption, fail, layout_of
from controlplane.local import audit_reader
from controlplane.local.audit_reader import Event, Wanted
from kvstore.base.clock import SystemClock
from kvstore.base.durations import parse_duration

_POLL_SECONDS = 0.2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    user: Annotated[str, typer.Option("--user", "-u", help="By this user, or as this user.")] = "",
    verb: Annotated[str, typer.Option("--verb", help="get, create, delete, …")] = "",
    resource: Annotated[
        str, typer.Option("--resource", "-r", help="pods, pods/exec, secrets, …")
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="In this namespace.")] = "",
    name: Annotated[str, typer.Option("--name", help="On the object of this name.")] = "",
    code: Annotated[int, typer.Option("--code", help="Answered so: 403, 409, …")] = 0,
    since: Annotated[str, typer.Option("--since", help="Not older than this, e.g. 10m.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="words or json.")] = "words",
    state: StateOption = None,
) -> None:
    """Show who did what, oldest first."""
    if output not in ("words", "json"):
        fail(f"unknown output {output!r}: words or json", 2)
    wanted = Wanted(user, verb, resource, namespace, name, code, _begin(since))
    folder = layout_of(state).state_dir / "audit"
    if not folder.is_dir():
        fail(f"there is no audit log in {folder.parent}: no cluster has run, or [audit] is off", 3)
    follower = audit_reader.Follower(folder) if follow else None
    for event in audit_reader.past(folder, wanted):
        _show(event, output)
    while follower is not None:
        for event in follower.poll(wanted):
            _show(event, output)
        time.sleep(_POLL_SECONDS)


def _begin(since: str) -> float:
    if not since:
        return 0.0
    try:
        return SystemClock().time() - parse_duration(since)
    except ValueError as error:
        fail(f"--since: {error}", 2)


def _show(event: Event, output: str) -> None:
    text = (
        json.dumps(event, separators=(",", ":")) if output == "json" else audit_reader.line(event)
    )
    # Whoever reads along must see it now.
    print(text, flush=True)
