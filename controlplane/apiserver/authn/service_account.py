"""Service account tokens: signed by us, still in time, for us, and what they are bound to is still there.

Tokens are asked for with every request of a pod, so one that has been found good is believed for ten seconds; a deleted
pod's token ends that much later, as upstream's.

Source: pkg/serviceaccount/{jwt,claims}.go, apiserver/pkg/authentication/token/cache.
"""

import hashlib

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.authn.bearer import BadTokenError, Known
from controlplane.apiserver.authn.tokens import claims
from controlplane.apiserver.authn.tokens.keys import KeyRing
from controlplane.apiserver.http.messages import User
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from kvstore.base.clock import Clock

# Clocks of servers differ by so much, and what is deleted is honoured for so long (go-jose's DefaultLeeway).
_LEEWAY_SECONDS = 60
_BELIEVED_SECONDS = 10.0
_MAX_BELIEVED = 4096
_EXTRA = "authentication.kubernetes.io/"


class ServiceAccountAuthenticator:
    """The sort of tokens that `issuers` sign with the keys of `ring`."""

    def __init__(
        self, ring: KeyRing, issuers: tuple[str, ...], lookup: Lookup, clock: Clock
    ) -> None:
        self._ring = ring
        self._issuers = frozenset(issuers)
        self._lookup = lookup
        self._clock = clock
        self._believed: dict[tuple[bytes, tuple[str, ...]], tuple[float, Known]] = {}

    async def authenticate(self, token: str, audiences: tuple[str, ...]) -> Known | None:
        """See `TokenAuthenticator.authenticate`."""
        key = (hashlib.sha256(token.encode()).digest(), audiences)
        now = self._clock.monotonic()
        believed = self._believed.get(key)
        if believed is not None and believed[0] > now:
            return believed[1]
        content = self._ring.verify(token)
        if content is None or content.get("iss") not in self._issuers:
            return None
        known = await self._checked(content, audiences)
        if len(self._believed) >= _MAX_BELIEVED:
            self._believed.clear()
        self._believed[key] = (now + _BELIEVED_SECONDS, known)
        return known

    async def _checked(self, content: Obj, audiences: tuple[str, ...]) -> Known:
        common = tuple(one for one in _texts(content.get("aud")) if one in audiences)
        if not common:
            raise BadTokenError(
                f"token audiences {list(_texts(content.get('aud')))} is invalid for the target "
                f"audiences {list(audiences)}"
            )
        now = self._clock.time()
        _check_times(content, now)
        own = content.get("kubernetes.io")
        if not isinstance(own, dict) or not isinstance(own.get("serviceaccount"), dict):
            raise BadTokenError("service account token claims could not be validated")
        namespace, account = str(own.get("namespace") or ""), own["serviceaccount"]
        name = str(account.get("name") or "")
        user = claims.user_name(namespace, name)
        if content.get("sub") != user:
            raise BadTokenError("service account token claims could not be validated")
        await self._check(SERVICE_ACCOUNTS, namespace, account, now)
        extra: dict[str, tuple[str, ...]] = {}
        if content.get("jti"):
            extra[_EXTRA + "credential-id"] = (f"JTI={content['jti']}",)
        if isinstance(own.get("secret"), dict):
            await self._check(SECRETS, namespace, own["secret"], now)
        pod, node = own.get("pod"), own.get("node")
        if isinstance(pod, dict):
            await self._check(PODS, namespace, pod, now)
            extra[_EXTRA + "pod-name"] = (str(pod.get("name")),)
            extra[_EXTRA + "pod-uid"] = (str(pod.get("uid")),)
        if isinstance(node, dict):
            if not isinstance(pod, dict):
                # Of a pod's token the node is only told, not bound to.
                await self._check(NODES, "", node, now)
            extra[_EXTRA + "node-name"] = (str(node.get("name")),)
            if node.get("uid"):
                extra[_EXTRA + "node-uid"] = (str(node["uid"]),)
        uid = str(account.get("uid") or "")
        return Known(User(user, claims.groups(namespace), uid, extra), common)

    async def _check(self, resource: Resource, namespace: str, reference: Obj, now: float) -> None:
        """Whether the object that a token names is there, the same, and not long deleted."""
        found = await self._lookup.find(resource, namespace, str(reference.get("name") or ""))
        if found is None or meta.uid(found) != reference.get("uid"):
            raise BadTokenError("service account token has been invalidated")
        deleted_at = (
            times.parse(meta.deletion_timestamp(found)) if meta.is_deleting(found) else None
        )
        if deleted_at is not None and deleted_at < now - _LEEWAY_SECONDS:
            raise BadTokenError("service account token has been invalidated")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _check_times(content: Obj, now: float) -> None:
    expires, begins, issued = (content.get(name) for name in ("exp", "nbf", "iat"))
    if not isinstance(expires, int | float) or now > expires + _LEEWAY_SECONDS:
        raise BadTokenError("service account token has expired")
    if isinstance(begins, int | float) and now < begins - _LEEWAY_SECONDS:
        raise BadTokenError("service account token is not valid yet")
    if isinstance(issued, int | float) and now < issued - _LEEWAY_SECONDS:
        raise BadTokenError("service account token is issued in the future")
