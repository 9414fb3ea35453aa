"""emptyDir: a directory that lives as long as the pod, restarts of the node included."""

import os
from pathlib import Path

from controlplane.kubelet.volumes.interface import Object, Request


class EmptyDir:
    """See `VolumePlugin`."""

    name = "kubernetes.io/empty-dir"

    def can_handle(self, volume: Object) -> bool:
        """See `VolumePlugin`. A volume that names no type is one, too."""
        return volume.get("emptyDir") is not None or set(volume) == {"name"}

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`. Everybody may write, as the containers of a pod can be different users."""
        os.chmod(request.directory, 0o777)
        return request.directory

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`."""
