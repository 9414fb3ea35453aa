"""The only list of volume types."""

from collections.abc import Callable, Sequence

from controlplane.kubelet.images.image import Image
from controlplane.kubelet.volumes.interface import VolumePlugin
from controlplane.kubelet.volumes.payload import FilesVolume
from controlplane.kubelet.volumes.plugins.claim import Claim
from controlplane.kubelet.volumes.plugins.config_map import ConfigMapFiles
from controlplane.kubelet.volumes.plugins.downward import DownwardFiles
from controlplane.kubelet.volumes.plugins.empty_dir import EmptyDir
from controlplane.kubelet.volumes.plugins.host_path import HostPath
from controlplane.kubelet.volumes.plugins.image import ImageVolume
from controlplane.kubelet.volumes.plugins.projected import ProjectedFiles
from controlplane.kubelet.volumes.plugins.secret import SecretFiles
from controlplane.kubelet.volumes.plugins.token import TokenFiles


def volume_plugins(
    find_image: Callable[[str], Image | None] = lambda reference: None,
) -> Sequence[VolumePlugin]:
    """New ones, asked in this order; each holds what it has to remember for one node."""
    config_map, secret, downward = ConfigMapFiles(), SecretFiles(), DownwardFiles()
    return (
        EmptyDir(),
        HostPath(),
        Claim(),
        ImageVolume(find_image),
        FilesVolume(config_map),
        FilesVolume(secret),
        FilesVolume(downward),
        FilesVolume(ProjectedFiles((config_map, secret, downward, TokenFiles()))),
    )
