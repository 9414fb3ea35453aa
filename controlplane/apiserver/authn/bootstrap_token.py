"""Bootstrap tokens: what a new node has until it has a certificate. Each is a Secret in kube-system.

Source: plugin/pkg/auth/authenticator/token/bootstrap.
"""

import base64
import binascii
import hmac
import re

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.apiserver.authn.bearer import BadTokenError, Known
from controlplane.apiserver.http.messages import User
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.secret import SECRETS
from kvstore.base.clock import Clock

_FORM = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP_FORM = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_TYPE = "bootstrap.kubernetes.io/token"
_GROUP = "system:bootstrappers"


class BootstrapTokenAuthenticator:
    """The tokens of kube-system."""

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock

    async def authenticate(self, token: str, audiences: tuple[str, ...]) -> Known | None:
        """See `TokenAuthenticator.authenticate`."""
        del audiences
        match = _FORM.fullmatch(token)
        if match is None:
            return None
        token_id, secret = match.groups()
        found = await self._lookup.find(SECRETS, "kube-system", f"bootstrap-token-{token_id}")
        if found is None or meta.is_deleting(found) or found.get("type") != _TYPE:
            raise BadTokenError("invalid bearer token")
        data = _decoded(found)
        is_right = hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
        if not is_right or data.get("token-id") != token_id:
            raise BadTokenError("invalid bearer token")
        if data.get("usage-bootstrap-authentication") != "true" or self._is_over(data):
            raise BadTokenError("invalid bearer token")
        extra = [one for one in data.get("auth-extra-groups", "").split(",") if one]
        if any(_GROUP_FORM.fullmatch(one) is None for one in extra):
            raise BadTokenError("invalid bearer token")
        return Known(User(f"system:bootstrap:{token_id}", (*sorted(set(extra)), _GROUP)))

    def _is_over(self, data: dict[str, str]) -> bool:
        text = data.get("expiration", "")
        if not text:
            return False
        try:
            return times.parse(text) <= self._clock.time()
        except ValueError:
            # What cannot be read cannot be trusted to lie ahead.
            return True


def _decoded(secret: Obj) -> dict[str, str]:
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
    return found
