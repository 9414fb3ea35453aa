"""Last words of a container, which may have made anything of their file."""

import os
from pathlib import Path

from controlplane.kubelet.containers.termination import MAX_BYTES, prepare, read


def test_words(tmp_path: Path) -> None:
    file = tmp_path / "a" / "last"
    prepare(file)
    assert read(file) == ""
    assert file.stat().st_mode & 0o777 == 0o666
    file.write_text("DONE" + "x" * MAX_BYTES)
    assert len(read(file)) == MAX_BYTES


def test_links_and_pipes_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert read(tmp_path / "link") == ""
    os.mkfifo(tmp_path / "pipe")
    assert read(tmp_path / "pipe") == ""
    assert read(tmp_path / "none") == ""
