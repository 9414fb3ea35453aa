"""Files of the machine that containers see: this project's own programs, and the pod's files below /etc."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import controlplane


def program_folders() -> list[str]:
    """Where this interpreter and this project are: what built-in images run may lie outside of /usr."""
    package = Path(controlplane.__file__).resolve().parent
    own = (str(package.parent / name) for name in ("controlplane", "kvstore"))
    folders = [sys.base_prefix, sys.prefix, *own]
    return list(dict.fromkeys(os.path.realpath(folder) for folder in folders))


def pod_files(etc: Path, mounts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The pod's own files below /etc, by path; what a container mounts in their place is the container's."""
    taken = {str(mount["container_path"]) for mount in mounts}
    paths = {f"/etc/{file.name}": str(file) for file in sorted(etc.iterdir())}
    return {path: source for path, source in paths.items() if path not in taken}
