"""What pods on this node refer to: configuration, claims with their volumes, tokens; read as the node itself."""

from typing import Any

from controlplane.api import times
from controlplane.api.errors import APIError, MethodNotAllowed, NotFound
from controlplane.api.resource import Resource
from controlplane.client.rest import RestClient
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kubelet.containers.references import Token, TokenRequest

_RESOURCES: dict[str, Resource] = {
    "ConfigMap": CONFIG_MAPS,
    "PersistentVolume": PERSISTENT_VOLUMES,
    "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS,
    "Secret": SECRETS,
}


class ApiObjects:
    """See `References`."""

    def __init__(self, client: RestClient) -> None:
        self._client = client

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """See `References`."""
        try:
            return await self._client.get(_RESOURCES[kind], name, namespace)
        except (NotFound, MethodNotAllowed):
            return None

    async def token(self, request: TokenRequest) -> Token | None:
        """See `References`. Where the server issues none, pods start without one."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": list(request.audiences),
                "expirationSeconds": request.expiration_seconds,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": request.pod_name,
                    "uid": request.pod_uid,
                },
            },
        }
        try:
            answer = await self._client.create_subresource(
                SERVICE_ACCOUNTS, request.service_account, "token", body, request.namespace
            )
        except APIError:
            return None
        status = answer["status"]
        expires = times.parse_or_none(status.get("expirationTimestamp"))
        return Token(str(status["token"]), expires or 0.0)
