"""downwardAPI: fields of the pod and resources of its containers as files."""

from controlplane.api.meta import View
from controlplane.kubelet.containers.downward import field_value, resource_value
from controlplane.kubelet.volumes.interface import File, Request
from controlplane.kubelet.volumes.payload import checked_path


class DownwardFiles:
    """See `FileSource`."""

    key = "downwardAPI"
    name = "kubernetes.io/downward-api"

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """See `FileSource`."""
        files = {}
        for item in source.get("items") or ():
            if item.get("fieldRef"):
                path = item["fieldRef"].get("fieldPath", "")
                text = field_value(request.pod, path, request.facts)
            else:
                wanted = item.get("resourceFieldRef") or {}
                text = resource_value(request.pod, "", wanted, request.facts)
            own = item.get("mode")
            files[checked_path(item["path"])] = File(text.encode(), mode if own is None else own)
        return files
