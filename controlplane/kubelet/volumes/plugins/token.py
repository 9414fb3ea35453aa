"""serviceAccountToken, a source of projected volumes: a token bound to the pod, renewed before it ends."""

from dataclasses import dataclass, field

from controlplane.api.meta import View
from controlplane.kubelet.containers.references import Token, TokenRequest
from controlplane.kubelet.volumes.interface import File, Request
from controlplane.kubelet.volumes.payload import checked_path

DEFAULT_SECONDS = 3600
RENEW_AT = 0.8
"""The part of its life after which a token is replaced, as upstream's kubelet does."""
MAX_AGE_SECONDS = 24 * 3600.0


@dataclass(slots=True)
class _Held:
    token: Token
    renew_at: float


@dataclass(slots=True)
class TokenFiles:
    """See `FileSource`. Remembers what it has got, so that a refresh is no new token each time."""

    key: str = "serviceAccountToken"
    name: str = "kubernetes.io/projected"
    _held: dict[TokenRequest, _Held] = field(default_factory=dict)

    async def files(self, request: Request, source: View, mode: int) -> dict[str, File]:
        """See `FileSource`. Where the server issues no tokens the file is left out."""
        meta = request.pod["metadata"]
        audience = source.get("audience")
        wanted = TokenRequest(
            namespace=request.namespace,
            service_account=request.pod["spec"].get("serviceAccountName") or "default",
            pod_name=str(meta["name"]),
            pod_uid=str(meta["uid"]),
            audiences=(audience,) if audience else (),
            expiration_seconds=int(source.get("expirationSeconds") or DEFAULT_SECONDS),
        )
        token = await self._token(wanted, request)
        if token is None:
            return {}
        # Others than root must be able to read it when the pod runs as them; upstream widens it for those alone.
        return {checked_path(source["path"]): File(token.value.encode(), mode)}

    async def _token(self, wanted: TokenRequest, request: Request) -> Token | None:
        held = self._held.get(wanted)
        if held is not None and request.now < held.renew_at:
            return held.token
        token = await request.references.token(wanted)
        if token is None:
            return None if held is None else held.token
        for old in [key for key, one in self._held.items() if one.token.expires_at < request.now]:
            del self._held[old]
        life = (token.expires_at or request.now + wanted.expiration_seconds) - request.now
        self._held[wanted] = _Held(token, request.now + min(life * RENEW_AT, MAX_AGE_SECONDS))
        return token
