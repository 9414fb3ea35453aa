"""Images loaded from what other tools write, found by name."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.images.catalog import ImageCatalog
from controlplane.kubelet.images.oci.archive import ArchiveError
from controlplane.kubelet.images.store import ImageStore

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIG = {
    "config": {
        "Entrypoint": ["/app"],
        "Cmd": ["serve"],
        "Env": ["A=1", "B=x=y"],
        "WorkingDir": "/srv",
        "User": "1000:1000",
    }
}


def layer() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        info = tarfile.TarInfo("app")
        info.size, info.mode = 2, 0o755
        tar.addfile(info, io.BytesIO(b"hi"))
    return made.getvalue()


class Layout:
    """Writes an OCI layout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, content: bytes) -> dict[str, Any]:
        value = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs/sha256" / value).write_bytes(content)
        return {"digest": f"sha256:{value}", "size": len(content)}

    def manifest(self) -> dict[str, Any]:
        document = {
            "config": self.blob(json.dumps(CONFIG).encode()),
            "layers": [self.blob(layer())],
        }
        return self.blob(json.dumps(document).encode())

    def index(self, *entries: dict[str, Any]) -> None:
        (self.folder / "index.json").write_text(json.dumps({"manifests": entries}))


def named(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {**entry, "annotations": {"org.opencontainers.image.ref.name": name}}


def packed(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        for entry in sorted(folder.iterdir()):
            tar.add(entry, entry.name)
    return path


@pytest.mark.parametrize("as_tar", [False, True])
def test_an_oci_layout(tmp_path: Path, as_tar: bool) -> None:
    layout = Layout(tmp_path / "layout")
    layout.index(named(layout.manifest(), "example.com/app:1"))
    store = ImageStore(tmp_path / "store")
    source = packed(layout.folder) if as_tar else layout.folder
    assert store.load(source) == ["example.com/app:1"]
    image = store.find("example.com/app:1")
    assert image is not None
    assert (image.entrypoint, image.arguments) == (("/app",), ("serve",))
    assert (image.env, image.workdir, image.user) == ({"A": "1", "B": "x=y"}, "/srv", "1000:1000")
    assert (Path(image.rootfs) / "app").read_text() == "hi"
    assert image.id.startswith("example.com/app@sha256:")
    assert store.find("example.com/app:2") is None
    assert not list((tmp_path / "store").glob("archive-*")), "nothing of the tar is left"


def test_an_index_gives_what_fits_this_machine(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    fitting = {**layout.manifest(), "platform": {"os": "linux", "architecture": MACHINE}}
    other = {"digest": "sha256:00", "platform": {"os": "linux", "architecture": "s390x"}}
    layout.index(named(layout.blob(json.dumps({"manifests": [other, fitting]}).encode()), "app"))
    assert ImageStore(tmp_path / "store").load(layout.folder) == ["docker.io/library/app:latest"]
    layout.index(named(layout.blob(json.dumps({"manifests": [other]}).encode()), "app"))
    with pytest.raises(ArchiveError, match="not for"):
        ImageStore(tmp_path / "store").load(layout.folder)


def test_a_saved_docker_image_and_two_names(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "c.json").write_text(json.dumps(CONFIG))
    (folder / "l.tar").write_bytes(layer())
    entry = {"Config": "c.json", "RepoTags": ["a:1", "b:2"], "Layers": ["l.tar"]}
    (folder / "manifest.json").write_text(json.dumps([entry]))
    store = ImageStore(tmp_path / "store")
    store.load(packed(folder))
    assert [name for name, _, _ in store.images()] == [
        "docker.io/library/a:1",
        "docker.io/library/b:2",
    ]
    one = store.find("a:1")
    assert one is not None
    assert store.remove("a:1")
    assert Path(one.rootfs).exists(), "the other name still stands for it"
    assert store.remove("b:2")
    assert not Path(one.rootfs).exists()
    assert not store.remove("b:2")


def test_damage_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.index(named(layout.manifest(), "app"))
    for blob in (layout.folder / "blobs/sha256").iterdir():
        blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(ArchiveError, match="not what its name says"):
        ImageStore(tmp_path / "store").load(layout.folder)
    with pytest.raises(ArchiveError, match="neither"):
        ImageStore(tmp_path / "store").load(tmp_path / "store")
    layout.index({"digest": "sha256:../../../etc/passwd"})
    with pytest.raises(ArchiveError, match="leads out"):
        ImageStore(tmp_path / "store").load(layout.folder)


def test_built_of_a_folder_and_before_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").write_text("x")
    store = ImageStore(tmp_path / "store")
    catalog = ImageCatalog(store=store)
    before = catalog.find("nginx:1.25")
    assert before is not None
    assert before.rootfs == ""
    ImageStore(tmp_path / "store").build(tmp_path / "root", "nginx:1.25", {"Entrypoint": ["/x"]})
    after = catalog.find("nginx:1.25")
    assert after is not None
    assert after.entrypoint == ("/x",)
    assert (Path(after.rootfs) / "file").read_text() == "x"
    other = catalog.find("nginx:1.26")
    assert other is not None
    assert other.rootfs == ""
