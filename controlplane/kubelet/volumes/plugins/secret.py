"""secret: the entries of a Secret as files."""

from controlplane.api.meta import View
from controlplane.kubelet.containers.references import read_data
from controlplane.kubelet.volumes.interface import File, Request
from controlplane.kubelet.volumes.payload import select


class SecretFiles:
    """See `FileSource`."""

    key = "secret"
    name = "kubernetes.io/secret"

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """See `FileSource`. A volume says secretName where a projected source says name."""
        name = str(source.get("secretName") or source.get("name") or "")
        optional = bool(source.get("optional"))
        data = await read_data(
            request.references, "Secret", request.namespace, name, optional=optional
        )
        return select(data, source.get("items"), mode, optional=optional, what="secret")
