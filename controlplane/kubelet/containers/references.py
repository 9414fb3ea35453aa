"""What a pod's spec refers to outside of itself, and how it is read. The API server is behind the protocol."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class ConfigError(Exception):
    """The pod refers to something that is not there; shown as CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token of a service account, bound to a pod."""

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str
    audiences: Sequence[str] = ()
    """Empty for the API server itself."""
    expiration_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it ends, in Unix seconds; 0 is never."""

    value: str
    expires_at: float = 0.0


class References(Protocol):
    """Reads what pods refer to. Raises APIError when no API server answers."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """A ConfigMap, Secret, PersistentVolumeClaim or PersistentVolume; None if it does not exist."""
        ...

    async def token(self, request: TokenRequest) -> Token | None:
        """A new token; None where the server issues none."""
        ...


async def read_data(
    references: References, kind: str, namespace: str, name: str, *, optional: bool
) -> dict[str, bytes]:
    """The entries of a ConfigMap or Secret. Raises ConfigError when it does not exist and must."""
    found = await references.get(kind, namespace, name)
    if found is None:
        if optional:
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {k: base64.b64decode(v or "") for k, v in (found.get("data") or {}).items()}
    data = {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
    data.update({k: base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()})
    return data
