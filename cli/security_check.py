"""`quorate security-check`: what the running cluster is protected by, in words and by the exit code."""

import json
from typing import Annotated

import typer

from cli.state import StateOption, fail, read_cluster, run
from controlplane.api.errors import APIError
from controlplane.client.transport import TransportError
from controlplane.local import security, security_probe
from kvstore.base.clock import SystemClock


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("security-check")(security_check)


def security_check(
    output: Annotated[str, typer.Option("--output", "-o", help="words or json.")] = "words",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    state: StateOption = None,
) -> None:
    """Look at the cluster as a stranger, as a nobody and as its operator; exit code 1 when somebody gets too far."""
    if output not in ("words", "json"):
        fail(f"unknown output {output!r}: words or json", 2)
    cluster = read_cluster(state)
    try:
        findings = run(security_probe.look(cluster, SystemClock()))
    except (APIError, TransportError) as error:
        fail(f"the cluster does not answer: {error}")
    if output == "json":
        print(json.dumps(security.as_json(findings), indent=1))
    else:
        for finding in findings:
            print(security.words(finding))
    code = security.exit_code(findings)
    if strict and any(one.outcome == security.WARNED for one in findings):
        code = 1
    raise typer.Exit(code)
