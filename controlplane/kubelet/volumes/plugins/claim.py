"""persistentVolumeClaim and ephemeral: the volume that a claim is bound to.

The claim and the volume are read anew each time, as the node may read no more than those of its own pods. A volume is
whatever its spec says: a path of the node, or one of its local disks; other sources need a driver that is not there.
"""

import os
from pathlib import Path
from typing import Any

from controlplane.api.meta import View
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, PROVISIONED_BY
from controlplane.kubelet.volumes.interface import Request, VolumeError
from controlplane.kubelet.volumes.paths import place

_KIND = "PersistentVolumeClaim"
_DATA_OF_ALL = 0o777
"""Containers of a pod, and of the next that has the claim, can be different users."""


class Claim:
    """See `VolumePlugin`."""

    name = "kubernetes.io/persistent-claim"

    def can_handle(self, volume: View) -> bool:
        """See `VolumePlugin`."""
        return (
            volume.get("persistentVolumeClaim") is not None or volume.get("ephemeral") is not None
        )

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`."""
        name = _claim_name(request)
        claim = await request.references.get(_KIND, request.namespace, name)
        if claim is None:
            why = f'failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found'
            raise VolumeError(f"error processing PVC {request.namespace}/{name}: {why}")
        volume = await self._volume_of(request, claim)
        path = _mounted(request, volume)
        if volume["spec"].get("local") is not None:
            await request.own(path, settled=True)
        return path

    async def _volume_of(self, request: Request, claim: View) -> View:
        metadata, spec = claim["metadata"], claim.get("spec") or {}
        where = f"error processing PVC {request.namespace}/{metadata['name']}"
        if request.volume.get("ephemeral") is not None and not _is_owned(claim, request.pod):
            raise VolumeError(f"{where}: PVC was not created for pod {request.namespace}")
        if metadata.get("deletionTimestamp") is not None:
            raise VolumeError(f"{where}: PVC is being deleted")
        name = spec.get("volumeName")
        if not name or (claim.get("status") or {}).get("phase") != "Bound":
            raise VolumeError(f"{where}: PVC is not bound")
        volume = await request.references.get("PersistentVolume", "", str(name))
        if volume is None:
            raise VolumeError(
                f'failed to get PV {name} from API server: persistentvolumes "{name}" not found'
            )
        reference = (volume.get("spec") or {}).get("claimRef") or {}
        if reference.get("uid") != metadata.get("uid"):
            raise VolumeError(f"PV {name} is bound to another claim")
        if (volume["spec"].get("volumeMode") or "Filesystem") != "Filesystem":
            raise VolumeError(f"volume {name} has volumeMode Block, which this node does not give")
        return volume

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`. The data are the claim's, not the pod's."""


def _mounted(request: Request, volume: View) -> Path:
    spec = volume["spec"]
    if spec.get("hostPath") is not None:
        source = dict(spec["hostPath"])
        if (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == LOCAL_PATH:
            return _own_folder(Path(str(source["path"])))
        return place(source, request.shared_root)
    if spec.get("local") is not None:
        path = Path(str(spec["local"].get("path") or ""))
        if not path.exists():
            raise VolumeError(f'path "{path}" does not exist')
        return path
    sources = sorted(_sources(spec))
    raise VolumeError(f"volume type {', '.join(sources) or 'none'} is not supported on this node")


def _own_folder(path: Path) -> Path:
    """The folder of a volume that was made for its claim."""
    if not path.is_dir():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.chmod(path, _DATA_OF_ALL)
    return path


_NO_SOURCES = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def _sources(spec: View) -> set[str]:
    return {key for key, value in spec.items() if value is not None and key not in _NO_SOURCES}


def _claim_name(request: Request) -> str:
    source: Any = request.volume.get("persistentVolumeClaim")
    if source is not None:
        return str(source.get("claimName") or "")
    return f"{request.pod['metadata']['name']}-{request.volume['name']}"


def _is_owned(claim: View, pod: View) -> bool:
    owners = claim["metadata"].get("ownerReferences") or ()
    return any(row.get("controller") and row.get("uid") == pod["metadata"]["uid"] for row in owners)
