"""configMap: the entries of a ConfigMap as files."""

from controlplane.api.meta import View
from controlplane.kubelet.containers.references import read_data
from controlplane.kubelet.volumes.interface import File, Request
from controlplane.kubelet.volumes.payload import select


class ConfigMapFiles:
    """See `FileSource`."""

    key = "configMap"
    name = "kubernetes.io/configmap"

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """See `FileSource`."""
        name, optional = str(source.get("name") or ""), bool(source.get("optional"))
        data = await read_data(
            request.references, "ConfigMap", request.namespace, name, optional=optional
        )
        return select(data, source.get("items"), mode, optional=optional, what="configmap")
