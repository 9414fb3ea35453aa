"""projected: several sources in one directory."""

from collections.abc import Mapping, Sequence

from controlplane.api.meta import View
from controlplane.kubelet.volumes.interface import (
    File,
    FileSource,
    Request,
    VolumeError,
)


class ProjectedFiles:
    """See `FileSource`; made of other sources, by the field that asks for each."""

    key = "projected"
    name = "kubernetes.io/projected"

    def __init__(self, sources: Sequence[FileSource]) -> None:
        self._sources: Mapping[str, FileSource] = {source.key: source for source in sources}

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """See `FileSource`. A path named twice holds what the later source says."""
        files: dict[str, File] = {}
        for part in source.get("sources") or ():
            for key, wanted in part.items():
                if wanted is None:
                    continue
                if key not in self._sources:
                    raise VolumeError(f"projected source {key} is not supported on this node")
                files.update(await self._sources[key].files(request, wanted, mode))
        return files
