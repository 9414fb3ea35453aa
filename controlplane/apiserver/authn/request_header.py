"""A front proxy's word: `X-Remote-User` and its like, believed only with the proxy's own certificate.

The certificate must come from the proxies' own authority and, if names are given, carry one of them. A client of the
usual authority that sends these headers says nothing by them.

Source: apiserver/pkg/authentication/request/headerrequest.
"""

from dataclasses import dataclass
from urllib.parse import unquote

from controlplane.apiserver.authn.authority import Authority
from controlplane.apiserver.http.messages import Request, User


@dataclass(frozen=True, slots=True)
class RequestHeaderConfig:
    """Which proxies are believed and what they say; header names in lower case."""

    allowed_names: tuple[str, ...] = ()
    user_headers: tuple[str, ...] = ("x-remote-user",)
    uid_headers: tuple[str, ...] = ("x-remote-uid",)
    group_headers: tuple[str, ...] = ("x-remote-group",)
    extra_prefixes: tuple[str, ...] = ("x-remote-extra-",)


class RequestHeaderAuthenticator:
    """Believes proxies of `authority`."""

    def __init__(self, authority: Authority, config: RequestHeaderConfig) -> None:
        self._authority = authority
        self._config = config

    async def authenticate(self, request: Request) -> User | None:
        """The user that the proxy names; None without a proxy's certificate, or without a name."""
        certificate = request.incoming.certificate
        if certificate is None or not self._authority.has_issued(certificate):
            return None
        names, config = certificate.values("commonName"), self._config
        if config.allowed_names and not (names and names[-1] in config.allowed_names):
            return None
        headers = request.incoming.all_headers
        name = next((v for k, v in headers if k in config.user_headers and v), "")
        if not name:
            return None
        groups = tuple(v for k, v in headers if k in config.group_headers)
        uid = next((v for k, v in headers if k in config.uid_headers and v), "")
        extra: dict[str, tuple[str, ...]] = {}
        for key, value in headers:
            for prefix in config.extra_prefixes:
                if key.startswith(prefix):
                    word = unquote(key.removeprefix(prefix))
                    extra[word] = (*extra.get(word, ()), value)
        return User(name, groups, uid, extra)
