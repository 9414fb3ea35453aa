"""emptyDir: a directory that lives as long as the pod, restarts of the kubelet included; or memory."""

import os
from pathlib import Path

from controlplane.api import quantity
from controlplane.api.meta import View
from controlplane.kubelet.volumes.interface import Request, VolumeError


class EmptyDir:
    """See `VolumePlugin`."""

    name = "kubernetes.io/empty-dir"

    def can_handle(self, volume: View) -> bool:
        """See `VolumePlugin`. A volume that names no type is one, too."""
        return volume.get("emptyDir") is not None or set(volume) == {"name"}

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`. Everybody may write, as the containers of a pod can be different users."""
        medium = (request.volume.get("emptyDir") or {}).get("medium") or ""
        if medium not in ("", "Memory"):
            raise VolumeError(f'unknown storage medium "{medium}"')
        fresh = in_memory(request.volume) or request.directory.stat().st_mode & 0o777 != 0o777
        os.chmod(request.directory, request.directory.stat().st_mode | 0o777)
        if in_memory(request.volume):
            await request.host.mount_memory(str(request.directory), memory_bytes(request))
        if fresh:
            await request.own(request.directory)
        return request.directory

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`."""


def in_memory(volume: View) -> bool:
    """Whether a volume is an emptyDir of medium Memory."""
    return (volume.get("emptyDir") or {}).get("medium") == "Memory"


def memory_bytes(request: Request) -> int:
    """How large a volume in memory may become: the least of its sizeLimit, the pod's limits and what the node gives.

    The pod's limits count where all containers have one. 0 when none of them is known. Source:
    pkg/volume/emptydir/empty_dir.go.
    """
    spec = request.pod["spec"]
    sizes = [request.facts.get("allocatable.memory")]
    sizes.append((request.volume.get("emptyDir") or {}).get("sizeLimit"))
    bounds = [int(quantity.parse(str(size))) for size in sizes if size is not None]
    limits = [
        ((container.get("resources") or {}).get("limits") or {}).get("memory")
        for container in spec["containers"]
    ]
    if all(limit is not None for limit in limits):
        bounds.append(sum(int(quantity.parse(str(limit))) for limit in limits))
    return min((bound for bound in bounds if bound > 0), default=0)
