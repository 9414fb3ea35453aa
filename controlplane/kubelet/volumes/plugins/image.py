"""image: the files of an image, to be read only."""

from collections.abc import Callable
from pathlib import Path

from controlplane.api.meta import View
from controlplane.kubelet.images.image import Image
from controlplane.kubelet.volumes.interface import Request, VolumeError


class ImageVolume:
    """See `VolumePlugin`."""

    name = "kubernetes.io/image"

    def __init__(self, find: Callable[[str], Image | None]) -> None:
        self._find = find

    def can_handle(self, volume: View) -> bool:
        """See `VolumePlugin`."""
        return volume.get("image") is not None

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`."""
        reference = str(request.volume["image"].get("reference") or "")
        found = self._find(reference)
        if found is None:
            raise VolumeError(f'image "{reference}" is not on this node')
        if not found.rootfs:
            raise VolumeError(f'image "{reference}" stands for programs of the machine: no files')
        return Path(found.rootfs)

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`. The image is everybody's."""
