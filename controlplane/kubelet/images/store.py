"""The unpacked images of a machine, shared by its nodes: loaded from files, built from folders, found by name.

<store>/index.json              name -> id
<store>/images/<id>/image.json  what runs, as in the image's config
<store>/images/<id>/rootfs/     all layers in one folder, never written again
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from controlplane.kubelet.images.image import Image
from controlplane.kubelet.images.oci.archive import ArchiveError, Found, opened
from controlplane.kubelet.images.oci.layers import LayerError, unpack
from controlplane.kubelet.images.reference import normalized


class ImageStore:
    """The images in one folder; any number of processes may use one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = -1
        self._index: dict[str, str] = {}

    def find(self, reference: str) -> Image | None:
        """The image of that name, or None."""
        found = self._names().get(normalized(reference))
        return None if found is None else self._read(found, reference)

    def images(self) -> list[tuple[str, str, int]]:
        """Name, id and size in bytes of every image, by name."""
        return [
            (name, image_id, int(self._document(image_id).get("size") or 0))
            for name, image_id in sorted(self._names().items())
        ]

    def load(self, path: Path, name: str = "", *, pulled: bool = False) -> list[str]:
        """Take the images of an archive; their names. `name` is for one that has none. Raises ArchiveError.

        `pulled` is remembered: whether the archive is what a registry has.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        names: list[str] = []
        with opened(path, self._folder) as images:
            for image in images:
                own = [name] if name else list(image.names)
                if not own:
                    raise ArchiveError(f"{path}: an image without a name: give one with --tag")
                names += self._add(own, image.digest, image.config, partial(_layers, image), pulled)
        return names

    def build(self, folder: Path, name: str, config: Mapping[str, Any]) -> str:
        """Make an image of a folder's contents; its id. Raises OSError."""

        def copy(root: Path) -> None:
            shutil.copytree(folder, root, symlinks=True, dirs_exist_ok=True)

        text = json.dumps([name, dict(config), _fingerprint(folder)], sort_keys=True)
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._add([name], digest, {"config": dict(config)}, copy)
        return digest

    def remove(self, reference: str) -> bool:
        """Forget a name, and the image once it has none left; false if there is no such name."""
        with self._locked() as index:
            image_id = index.pop(normalized(reference), None)
            if image_id is not None and image_id not in index.values():
                shutil.rmtree(self._place(image_id), ignore_errors=True)
        return image_id is not None

    def _add(
        self,
        names: list[str],
        digest: str,
        config: Mapping[str, Any],
        fill: Callable[[Path], None],
        pulled: bool = False,
    ) -> list[str]:
        known = [normalized(name) for name in names]
        place = self._place(digest)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
            try:
                root = made / "rootfs"
                root.mkdir()
                try:
                    fill(root)
                except LayerError as problem:
                    raise ArchiveError(f"{' '.join(names)}: {problem}") from problem
                root.chmod(0o755)
                size = sum(p.lstat().st_size for p in root.rglob("*") if not p.is_dir())
                document = {"config": config.get("config") or {}, "size": size, "digest": digest}
                document["pulled"] = pulled
                (made / "image.json").write_text(json.dumps(document))
                made.chmod(0o755)
                os.rename(made, place)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
        with self._locked() as index:
            index.update(dict.fromkeys(known, digest))
        return known

    @contextmanager
    def _locked(self) -> Iterator[dict[str, str]]:
        """The index to change; written when the block ends well."""
        with open(self._folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._seen = -1
            index = dict(self._names())
            yield index
            aside = self._folder / "index.json.new"
            aside.write_text(json.dumps(index, indent=1, sort_keys=True))
            os.replace(aside, self._folder / "index.json")
            self._seen = -1

    def _names(self) -> Mapping[str, str]:
        file = self._folder / "index.json"
        try:
            changed = file.stat().st_mtime_ns
            if changed != self._seen:
                self._index = json.loads(file.read_text())
                self._seen = changed
        except FileNotFoundError:
            return {}
        return self._index

    def _place(self, image_id: str) -> Path:
        return self._folder / "images" / image_id.replace(":", "-")

    def _document(self, image_id: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self._place(image_id) / "image.json").read_text())
        return document

    def _read(self, image_id: str, reference: str) -> Image:
        document = self._document(image_id)
        config = document["config"]
        env = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
        return Image(
            name=normalized(reference).partition("@")[0].rpartition(":")[0],
            entrypoint=tuple(config.get("Entrypoint") or ()),
            arguments=tuple(config.get("Cmd") or ()),
            workdir=str(config.get("WorkingDir") or ""),
            rootfs=str((self._place(image_id) / "rootfs").resolve()),
            user=str(config.get("User") or ""),
            digest=image_id,
            size=int(document.get("size") or 0),
            is_pulled=bool(document.get("pulled")),
            env=env,
        )


def _layers(image: Found, root: Path) -> None:
    for layer in image.layers:
        unpack(layer, root)


def _fingerprint(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return found
