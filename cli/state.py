"""Where the cluster is that a command means: the state folder, and how errors end a command."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from controlplane.local.control import ControlError, NotRunning, NotYours
from controlplane.local.topology import Layout

T = TypeVar("T")

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        envvar="QUORATE_STATE",
        help="The cluster's state folder. [default: .quorate beside cluster.toml]",
        show_default=False,
    ),
]


def layout_of(state: Path | None) -> Layout:
    """The layout of `state`, or of `.quorate` in this folder or the nearest one above that has it."""
    if state is not None:
        return Layout(state.resolve())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".quorate").is_dir():
            return Layout(folder / ".quorate")
    return Layout(here / ".quorate")


def fail(message: str, code: int = 1) -> NoReturn:
    """One clear sentence on standard error, and a non-zero exit."""
    typer.echo(f"quorate: {message}", err=True)
    raise typer.Exit(code)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; control errors become sentences and exit codes."""
    try:
        return asyncio.run(coroutine)
    except NotRunning as error:
        fail(str(error), 3)
    except ControlError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def read_cluster(state: Path | None) -> dict[str, Any]:
    """What cluster.json says; exit code 3 if nothing runs here."""
    layout = layout_of(state)
    try:
        return dict(json.loads(layout.cluster_file.read_text()))
    except PermissionError:
        fail(str(NotYours(layout.state_dir)))
    except (OSError, ValueError):
        fail(str(NotRunning(layout.state_dir)), 3)
