"""A pod's own files below /etc give way to what a container mounts in their place."""

from pathlib import Path

from controlplane.kubelet.runtimes.namespaces.shown_files import pod_files


def test_a_mount_in_their_place_wins(tmp_path: Path) -> None:
    for name in ("hosts", "resolv.conf", "hostname"):
        (tmp_path / name).write_text("")
    mounts = [{"container_path": "/etc/hosts"}, {"container_path": "/data"}]
    assert pod_files(tmp_path, mounts) == {
        "/etc/hostname": str(tmp_path / "hostname"),
        "/etc/resolv.conf": str(tmp_path / "resolv.conf"),
    }
    assert pod_files(tmp_path, [])["/etc/hosts"] == str(tmp_path / "hosts")
