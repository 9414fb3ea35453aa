"""Which headers of a request go on to a server behind this one, and which of its answer come back. Pure.

Sources: net/http/httputil/reverseproxy.go (headers of one connection, X-Forwarded-For), apiserver's
endpoints/filters/authentication.go and impersonation.go (credentials), apimachinery/pkg/util/proxy.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

Pairs = list[tuple[str, str]]

# They speak of one connection, not of the request.
_OF_A_CONNECTION = frozenset(
    (
        "connection",
        "proxy-connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Who asks is known by now, and nobody else's business.
_CREDENTIALS = frozenset(("authorization", "x-remote-user", "x-remote-uid", "x-remote-group"))
_CREDENTIAL_PREFIXES = ("x-remote-extra-", "impersonate-")
_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."
# A browser is let in by this server's rules, not by a pod's.
_CORS = frozenset(
    (
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
    )
)


def canonical(name: str) -> str:
    """A header's name as Go writes it: `x-forwarded-for` -> `X-Forwarded-For`."""
    return "-".join(word.capitalize() for word in name.split("-"))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Names of headers, and beginnings of names, that tell who asks beside the usual ones; in lower case."""

    names: Collection[str] = ()
    prefixes: tuple[str, ...] = ()


def without_credentials(headers: Sequence[tuple[str, str]], more: Secrets) -> Pairs:
    """Headers without what tells who asks; their names are lower case."""
    prefixes = (*_CREDENTIAL_PREFIXES, *more.prefixes)
    kept: Pairs = []
    for name, value in headers:
        if name in _CREDENTIALS or name in more.names or name.startswith(prefixes):
            continue
        if name == "sec-websocket-protocol":
            words = [word.strip() for word in value.split(",")]
            value = ", ".join(word for word in words if not word.startswith(_TOKEN_PROTOCOL))
            if not value:
                continue
        kept.append((name, value))
    return kept


def of_the_request(headers: Sequence[tuple[str, str]]) -> Pairs:
    """Headers without those of the connection, named ones too."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for word in value.split(",")
    }
    dropped = _OF_A_CONNECTION | named
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def forwarded_for(headers: Sequence[tuple[str, str]], peer: str) -> Pairs:
    """Headers with the client's address added to X-Forwarded-For; names are lower case."""
    if not peer:
        return list(headers)
    before = [value for name, value in headers if name == "x-forwarded-for"]
    kept = [(name, value) for name, value in headers if name != "x-forwarded-for"]
    return [*kept, ("x-forwarded-for", ", ".join((*before, peer)))]


def replaced(headers: Sequence[tuple[str, str]], name: str, value: str) -> Pairs:
    """Headers in which one, by its lower-case name, has this value alone."""
    return [*((key, text) for key, text in headers if key.lower() != name), (name, value)]


def is_upgrade(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a request asks for another protocol; names are lower case."""
    return any(name == "connection" and "upgrade" in value.lower() for name, value in headers)


def of_the_answer(headers: Sequence[tuple[str, str]]) -> Pairs:
    """What of an answer goes back to the client."""
    return [(name, value) for name, value in of_the_request(headers) if name.lower() not in _CORS]
