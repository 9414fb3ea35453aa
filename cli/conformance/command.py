"""`quorate conformance`: the command.

Exit codes: 0 every chosen test passed; 1 some did not, or the program could not be run; 2 wrong usage; 3 no cluster
runs and none was named.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.conformance import ledger, runner, suite
from cli.conformance.ledger import Outcome
from cli.state import StateOption, fail, layout_of, run
from kvstore.base.clock import SystemClock
from kvstore.base.durations import parse_duration


def conformance(
    e2e_test: Annotated[
        Path,
        typer.Option("--e2e-test", help="Upstream's test program, `e2e.test`.", show_default=False),
    ],
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="The cluster to judge. [default: the one that runs here]", show_default=False
        ),
    ] = None,
    focus: Annotated[
        str, typer.Option(help="Only tests whose name has this (a regular expression).")
    ] = "",
    skip: Annotated[
        str, typer.Option(help="No tests whose name has this (a regular expression).")
    ] = "",
    area: Annotated[
        list[str] | None, typer.Option(help="Only this area, such as sig-apps; may be given again.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Tests at once.")] = 2,
    test_timeout: Annotated[str, typer.Option(help="What one test may take.")] = "10m",
    results: Annotated[
        Path, typer.Option(help="Outcomes as JSON lines; kept between runs.")
    ] = Path("conformance.jsonl"),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Leave out what passed before, by the file of --results."),
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the ledger here, such as docs/conformance.md.")
    ] = None,
    logs: Annotated[
        Path, typer.Option(help="A folder for the program's output, a file a test.")
    ] = Path("conformance-logs"),
    list_only: Annotated[bool, typer.Option("--list", help="Only print the names.")] = False,
    state: StateOption = None,
) -> None:
    """Run upstream's conformance tests against a cluster and write down what passes."""
    clock = SystemClock()
    try:
        seconds = parse_duration(test_timeout)
        chosen_by = {"focus": focus, "skip": skip}
        for pattern in chosen_by.values():
            re.compile(pattern)
    except (ValueError, re.error) as error:
        fail(f"--test-timeout, --focus or --skip: {error}", 2)
    try:
        specs = run(runner.list_specs(e2e_test))
    except runner.ProgramError as error:
        fail(str(error))
    kept = runner.Results(results)
    kept.load()
    done = [o.name for o in kept.by_name.values() if o.result == ledger.PASSED] if resume else []
    chosen = suite.choose(specs, focus=focus, skip=skip, areas=tuple(area or ()), done=done)
    if list_only:
        for spec in chosen:
            typer.echo(spec.name)
        return
    if not chosen:
        typer.echo("no test is chosen")
    config = kubeconfig or layout_of(state).kubeconfig
    if not config.is_file():
        fail(f"no cluster runs here ({config} is missing): `quorate up`, or give --kubeconfig", 3)
    program = runner.Run(e2e_test.resolve(), config.resolve(), logs.resolve(), parallel, seconds)
    number = 0

    def show(outcome: Outcome) -> None:
        nonlocal number
        number += 1
        kept.add(outcome)
        typer.echo(
            f"[{number}/{len(chosen)}] {outcome.result} {outcome.seconds:.0f} s  {outcome.name}"
        )
        if outcome.reason:
            typer.echo(f"    {outcome.reason}")

    run(runner.run_all(program, chosen, clock, show))
    now = {spec.name: kept.by_name[spec.name] for spec in chosen}
    totals = ledger.counts(now.values())
    typer.echo(", ".join(f"{count} {word}" for word, count in totals.items()))
    if write is not None:
        when = datetime.fromtimestamp(clock.time(), UTC).date().isoformat()
        version = run(_version(config))
        write.write_text(
            ledger.page(specs, kept.by_name, version=version, when=when), encoding="utf-8"
        )
        typer.echo(f"written to {write}")
    if totals[ledger.PASSED] != len(chosen):
        raise typer.Exit(1)


async def _version(config: Path) -> str:
    """What the server says of itself; a server that is gone by now is no reason to lose the ledger."""
    from controlplane.client.rest import RestClient

    client = RestClient.from_kubeconfig(config, user_agent="quorate-conformance")
    try:
        return str((await client.get_document("/version")).get("gitVersion", "unknown"))
    except Exception as error:  # the page says so instead
        return f"version unknown: {type(error).__name__}"
    finally:
        await client.close()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("conformance")(conformance)
