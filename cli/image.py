"""`quorate image load|build|ls|rm`: images that nodes of this cluster can run, without any registry."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.state import StateOption, fail, layout_of
from controlplane.kubelet.images.oci.archive import ArchiveError
from controlplane.kubelet.images.store import ImageStore

app = typer.Typer(no_args_is_help=True)


def _store(state: Path | None) -> ImageStore:
    return ImageStore(layout_of(state).state_dir / "images")


@app.command()
def load(
    archives: Annotated[
        list[Path], typer.Argument(help="OCI layouts or saved Docker images: folders or tars.")
    ],
    tag: Annotated[str, typer.Option("--tag", "-t", help="A name, for images without.")] = "",
    state: StateOption = None,
) -> None:
    """Take images out of archives."""
    for archive in archives:
        if not archive.exists():
            fail(f"{archive}: no such file or folder")
        try:
            names = _store(state).load(archive, tag)
        except ArchiveError as problem:
            fail(str(problem))
        for name in names:
            sys.stdout.write(f"loaded {name}\n")


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="What the image holds: its root folder.")],
    tag: Annotated[str, typer.Option("--tag", "-t", help="The image's name.")],
    entrypoint: Annotated[list[str] | None, typer.Option(help="A word of it; repeat.")] = None,
    cmd: Annotated[list[str] | None, typer.Option(help="A word of the arguments; repeat.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; repeat.")] = None,
    workdir: Annotated[str, typer.Option(help="Where commands start.")] = "",
    user: Annotated[str, typer.Option(help="Who commands are: name, id or id:group.")] = "",
    state: StateOption = None,
) -> None:
    """Make an image of a folder."""
    if not folder.is_dir():
        fail(f"{folder}: no such folder")
    config = {
        "Entrypoint": entrypoint or [],
        "Cmd": cmd or [],
        "Env": env or [],
        "WorkingDir": workdir,
        "User": user,
    }
    sys.stdout.write(f"built {tag} {_store(state).build(folder, tag, config)}\n")


@app.command("ls")
def list_images(state: StateOption = None) -> None:
    """Names, ids and sizes."""
    for name, image_id, size in _store(state).images():
        sys.stdout.write(f"{name}  {image_id[:19]}  {size / 1e6:.1f} MB\n")


@app.command("rm")
def remove(names: list[str], state: StateOption = None) -> None:
    """Forget images; containers that run keep their files until they end."""
    for name in names:
        if not _store(state).remove(name):
            fail(f"{name}: no such image")
        sys.stdout.write(f"removed {name}\n")
