"""Image names to what runs of the images that are here: loaded or pulled, built in, or named by `--images`.

A name matches without its registry and tag (`docker.io/library/nginx:1.14.2` is `nginx`), unless the registry is one
with a port. A name that is an absolute path or a `file://` URL stands for a local folder; the pod's command says what
to run in it.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlplane.kubelet.images.image import Image
from controlplane.kubelet.images.store import ImageStore

_WEB = str(Path(__file__).with_name("web.py"))
_PAUSE = 'trap "exit 0" TERM INT; while :; do sleep 86400 & wait $!; done'


BUILT_IN: Mapping[str, Image] = {
    image.name: image
    for image in (
        Image("busybox", arguments=("sh",)),
        Image("python", arguments=(sys.executable,)),
        Image("nginx", entrypoint=(sys.executable, "-I", "-S", _WEB)),
        Image("coredns", entrypoint=(sys.executable, "-m", "controlplane.dns")),
        Image("pause", entrypoint=("/bin/sh", "-c", _PAUSE)),
    )
}


class ImageCatalogError(ValueError):
    """The file given with --images cannot be used; the message says where."""


class ImageCatalog:
    """The images of this node."""

    def __init__(
        self, extra: Mapping[str, Image] | None = None, store: ImageStore | None = None
    ) -> None:
        self._images = {**BUILT_IN, **(extra or {})}
        self._store = store

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._images)

    def find(self, reference: str) -> Image | None:
        """The image, or None if this node has none of that name."""
        folder = reference.removeprefix("file://")
        if folder.startswith("/"):
            return Image(folder, root=folder) if os.path.isdir(folder) else None
        loaded = self._store.find(reference) if self._store is not None else None
        if loaded is not None:
            return loaded
        exact = self._images.get(reference)
        host, slash, _ = reference.partition("/")
        if slash and ":" in host:
            return exact  # Somebody's own registry: what is built in is not meant.
        return exact or self._images.get(short_name(reference))


def short_name(reference: str) -> str:
    """The last part of a reference without tag and digest."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def load_catalog(path: str | None, store: ImageStore | None = None) -> ImageCatalog:
    """What `store` holds, the built-in images, and those of a JSON file `{name: {"command": [...], ...}}`."""
    if path is None:
        return ImageCatalog(store=store)
    try:
        document = json.loads(Path(path).read_text())
    except (OSError, ValueError) as problem:
        raise ImageCatalogError(f"--images {path}: {problem}") from problem
    if not isinstance(document, dict):
        raise ImageCatalogError(f"--images {path}: expected an object of name -> image")
    extra = {name: _read(path, name, entry) for name, entry in document.items()}
    return ImageCatalog(extra, store)


def _read(path: str, name: str, entry: Any) -> Image:
    where = f"--images {path}: {name}"
    if not isinstance(entry, dict):
        raise ImageCatalogError(f"{where}: expected an object")
    unknown = set(entry) - {"command", "args", "workdir", "env", "ports"}
    if unknown:
        raise ImageCatalogError(f"{where}: unknown field {sorted(unknown)[0]!r}")
    command, arguments = entry.get("command"), entry.get("args") or []
    for key, value in (("command", command), ("args", arguments)):
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ImageCatalogError(f"{where}.{key}: expected a list of strings")
    env = {key: str(value) for key, value in (entry.get("env") or {}).items()}
    ports = entry.get("ports") or []
    if ports:
        env.setdefault("PORT", str(ports[0]))
    workdir = str(entry.get("workdir") or "")
    # An absolute workdir is a folder of this machine, used as it is.
    root = workdir if workdir.startswith("/") else ""
    return Image(
        name,
        tuple(command or ()),
        tuple(arguments),
        workdir="" if root else workdir,
        root=root,
        env=env,
    )
