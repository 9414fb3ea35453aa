"""Which paths of the host a container sees where."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from controlplane.api.meta import View
from controlplane.kubelet.containers.command import expand
from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.runtimes.interface import Mount


def container_mounts(
    container: View,
    volumes: Mapping[str, str],
    env: Mapping[str, str],
    in_memory: Collection[str] = (),
    only_read: Collection[str] = (),
) -> tuple[Mount, ...]:
    """The mounts of a container; `volumes` tells where each is, `in_memory` whose contents the runtime alone sees,
    `only_read` which nobody may write.

    A subPath that is not there becomes a directory. Raises ConfigError for a volume the pod does not have, and for a
    subPath that leads out of its volume, be it by links that a container has made.
    """
    mounts = []
    for entry in container.get("volumeMounts") or ():
        if entry["name"] not in volumes:
            raise ConfigError(f'volume "{entry["name"]}" is not available')
        source = volumes[entry["name"]]
        sub_path = entry.get("subPath") or expand(entry.get("subPathExpr") or "", env)
        below = ""
        if sub_path:
            _check_relative(sub_path)
            if entry["name"] in in_memory:
                below = sub_path
            else:
                source = _within(source, sub_path)
        read_only = bool(entry.get("readOnly")) or entry["name"] in only_read
        mounts.append(Mount(entry["name"], source, entry["mountPath"], read_only, below))
    return tuple(mounts)


def _check_relative(sub_path: str) -> None:
    if sub_path.startswith("/") or ".." in Path(sub_path).parts:
        raise ConfigError(f"invalid subPath {sub_path!r}: it must be relative and without '..'")


def _within(volume: str, sub_path: str) -> str:
    root = os.path.realpath(volume)
    path = os.path.realpath(os.path.join(root, sub_path))
    if path != root and not path.startswith(root + os.sep):
        raise ConfigError(f"subPath {sub_path!r} leads out of the volume")
    if not os.path.lexists(path):
        try:
            os.makedirs(path, mode=0o777, exist_ok=True)
        except OSError as problem:
            raise ConfigError(f"failed to create subPath {sub_path!r}: {problem}") from problem
    return path
