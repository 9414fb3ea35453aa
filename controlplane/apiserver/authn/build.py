"""All ways to show who asks, made from the settings; the only list, in the order in which they are tried.

Source of the order: pkg/kubeapiserver/authenticator/config.go.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from controlplane.apiserver.authn.anonymous import OPEN_PATHS, Anonymous
from controlplane.apiserver.authn.authority import Authority
from controlplane.apiserver.authn.bearer import (
    BearerAuthenticator,
    TokenAuthenticator,
    TokenChain,
)
from controlplane.apiserver.authn.bootstrap_token import BootstrapTokenAuthenticator
from controlplane.apiserver.authn.certificate import CertificateAuthenticator
from controlplane.apiserver.authn.chain import AuthenticatorChain
from controlplane.apiserver.authn.interface import Authenticator
from controlplane.apiserver.authn.request_header import (
    RequestHeaderAuthenticator,
    RequestHeaderConfig,
)
from controlplane.apiserver.authn.service_account import ServiceAccountAuthenticator
from controlplane.apiserver.authn.token_file import TokenFileAuthenticator
from controlplane.apiserver.authn.tokens.issuer import TokenIssuer
from controlplane.apiserver.authn.tokens.keys import (
    KeyRing,
    SigningKey,
    load_signing_key,
    load_verifying_keys,
)
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.lookup import Lookup
from kvstore.base.clock import Clock


@dataclass(frozen=True, slots=True)
class Authentication:
    """What a server knows of identities."""

    chain: AuthenticatorChain
    tokens: TokenChain
    issuer: TokenIssuer | None
    key_ring: KeyRing | None


def build(
    config: ApiServerConfig, lookup: Lookup, clock: Clock, rng: random.Random
) -> Authentication:
    """Read the files that the settings name; OSError or ValueError for those that cannot be used."""
    audiences = config.api_audiences or config.service_account_issuers
    signing = None
    if config.service_account_signing_key_file:
        signing = load_signing_key(Path(config.service_account_signing_key_file).read_bytes())
    ring = _ring(config, signing)
    issuer = None
    if signing is not None:
        issuer = TokenIssuer(signing, config.service_account_issuers[0], audiences, clock, rng)
    sorts: list[TokenAuthenticator] = []
    if config.token_auth_file:
        text = Path(config.token_auth_file).read_text(encoding="utf-8")
        sorts.append(TokenFileAuthenticator(text))
    if ring is not None:
        issuers = config.service_account_issuers
        sorts.append(ServiceAccountAuthenticator(ring, issuers, lookup, clock))
    if config.enable_bootstrap_token_auth:
        sorts.append(BootstrapTokenAuthenticator(lookup, clock))
    tokens = TokenChain(sorts, audiences)
    ways: list[Authenticator] = []
    clients: Authority | None = None
    if config.requestheader_client_ca_file:
        proxies = Authority(Path(config.requestheader_client_ca_file).read_bytes())
        ways.append(RequestHeaderAuthenticator(proxies, _proxy_config(config)))
        if config.client_ca_file:
            clients = Authority(Path(config.client_ca_file).read_bytes())
    ways.append(CertificateAuthenticator(clients))
    ways.append(BearerAuthenticator(tokens))
    open_paths = {True: None, False: (), None: OPEN_PATHS}[config.anonymous_auth]
    chain = AuthenticatorChain(ways, Anonymous(open_paths))
    return Authentication(chain, tokens, issuer, ring)


def _ring(config: ApiServerConfig, signing: SigningKey | None) -> KeyRing | None:
    keys = [signing.public] if signing is not None else []
    for path in config.service_account_key_files:
        keys += load_verifying_keys(Path(path).read_bytes())
    return KeyRing(keys) if keys else None


def _proxy_config(config: ApiServerConfig) -> RequestHeaderConfig:
    def low(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in names)

    return RequestHeaderConfig(
        allowed_names=config.requestheader_allowed_names,
        user_headers=low(config.requestheader_username_headers),
        uid_headers=low(config.requestheader_uid_headers),
        group_headers=low(config.requestheader_group_headers),
        extra_prefixes=low(config.requestheader_extra_headers_prefix),
    )
