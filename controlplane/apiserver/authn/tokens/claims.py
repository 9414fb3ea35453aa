"""What a service account token says. Pure.

Source: pkg/serviceaccount/claims.go.
"""

from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj

PREFIX = "system:serviceaccount:"
_ALL_GROUP = "system:serviceaccounts"


def user_name(namespace: str, name: str) -> str:
    """The user that a service account is."""
    return f"{PREFIX}{namespace}:{name}"


def split_user_name(user: str) -> tuple[str, str] | None:
    """(namespace, name) of the account that a user is, None when it is none."""
    parts = user.split(":")
    if not user.startswith(PREFIX) or len(parts) != 4 or not parts[2] or not parts[3]:
        return None
    return parts[2], parts[3]


def groups(namespace: str) -> tuple[str, str]:
    """The groups of all service accounts of a namespace."""
    return _ALL_GROUP, f"{_ALL_GROUP}:{namespace}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a token is bound to: it ends with these. Each is the object, or None."""

    pod: Obj | None = None
    secret: Obj | None = None
    node: Obj | None = None


def made(
    account: Obj,
    bound: Bound,
    *,
    issuer: str,
    audiences: list[str],
    now: int,
    seconds: int,
    token_id: str,
    warn_after_seconds: int = 0,
) -> Obj:
    """The claims of a token that holds for `seconds` from `now` (Unix time) on."""
    own: Obj = {"namespace": meta.namespace(account), "serviceaccount": _reference(account)}
    for name in ("node", "pod", "secret"):
        obj = getattr(bound, name)
        if obj is not None:
            own[name] = _reference(obj)
    if warn_after_seconds:
        own["warnafter"] = now + warn_after_seconds
    return {
        "aud": audiences,
        "exp": now + seconds,
        "iat": now,
        "iss": issuer,
        "jti": token_id,
        "kubernetes.io": own,
        "nbf": now,
        "sub": user_name(meta.namespace(account), meta.name(account)),
    }


def _reference(obj: Obj) -> Obj:
    uid = meta.uid(obj)
    return {"name": meta.name(obj), **({"uid": uid} if uid else {})}
