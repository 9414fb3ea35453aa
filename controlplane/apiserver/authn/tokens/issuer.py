"""Issues service account tokens, and tells the world how to verify them (OpenID Connect discovery).

Source: pkg/registry/core/serviceaccount/storage/token.go, pkg/serviceaccount/openidmetadata.go.
"""

import random
from dataclasses import dataclass

from controlplane.api import names
from controlplane.api.meta import Obj
from controlplane.apiserver.authn.tokens import claims
from controlplane.apiserver.authn.tokens.keys import KeyRing, SigningKey
from kvstore.base.clock import Clock

# A token that a pod asks for with this lifetime is one of those that nobody asked for by name; it holds a year, since
# old clients never read their token again, and says from when on it should have been renewed.
_RENEWED_SECONDS = 60 * 60 + 7
_EXTENDED_SECONDS = 365 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and until when its asker was told that it holds (Unix time)."""

    token: str
    expires_at: float


class TokenIssuer:
    """Signs tokens."""

    def __init__(
        self,
        key: SigningKey,
        issuer: str,
        audiences: tuple[str, ...],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._key = key
        self._issuer = issuer
        # What this API server answers to; a token that names no audience is for it.
        self.audiences = audiences
        self._clock = clock
        self._rng = rng

    def issue(
        self, account: Obj, bound: claims.Bound, *, audiences: list[str], seconds: int
    ) -> Issued:
        """A new token of the account's."""
        now = self._clock.time()
        is_ours = set(audiences) <= set(self.audiences)
        is_extended = bound.pod is not None and seconds == _RENEWED_SECONDS and is_ours
        content = claims.made(
            account,
            bound,
            issuer=self._issuer,
            audiences=audiences,
            now=int(now),
            seconds=_EXTENDED_SECONDS if is_extended else seconds,
            token_id=names.generate_uid(self._rng),
            warn_after_seconds=seconds if is_extended else 0,
        )
        return Issued(self._key.sign(content), now + seconds)


def configuration(issuer: str, jwks_uri: str, ring: KeyRing) -> Obj:
    """The OpenID provider configuration."""
    return {
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in ring.all()}),
    }


def key_set(ring: KeyRing) -> Obj:
    """The public keys."""
    return {"keys": [key.jwk() for key in ring.all()]}
