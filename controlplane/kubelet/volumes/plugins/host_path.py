"""hostPath: a path of the node itself, checked for its type and made where the type says so."""

from pathlib import Path

from controlplane.api.meta import View
from controlplane.kubelet.volumes.interface import Request
from controlplane.kubelet.volumes.paths import place


class HostPath:
    """See `VolumePlugin`."""

    name = "kubernetes.io/host-path"

    def can_handle(self, volume: View) -> bool:
        """See `VolumePlugin`."""
        return volume.get("hostPath") is not None

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`."""
        return place(request.volume["hostPath"], request.host_root)

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`. What the path holds is not the pod's."""
