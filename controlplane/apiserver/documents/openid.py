"""/.well-known/openid-configuration and /openid/v1/jwks: how others verify the tokens of this cluster."""

import msgspec

from controlplane.api import errors
from controlplane.apiserver.authn.tokens import issuer
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.served import Server

_CACHED = {"Cache-Control": "public, max-age=3600"}


async def handle_configuration(server: Server, request: Request) -> Response:
    """The provider's configuration."""
    if server.key_ring is None or request.path != "/.well-known/openid-configuration":
        raise errors.NotFound.path()
    config = server.config
    host = request.headers.get("host") or f"{config.bind_address}:{config.secure_port}"
    uri = config.jwks_uri or f"https://{host}/openid/v1/jwks"
    content = issuer.configuration(config.service_account_issuers[0], uri, server.key_ring)
    return Response(200, msgspec.json.encode(content), "application/json", dict(_CACHED))


async def handle_keys(server: Server, request: Request) -> Response:
    """The public keys."""
    if server.key_ring is None or request.path != "/openid/v1/jwks":
        raise errors.NotFound.path()
    content = msgspec.json.encode(issuer.key_set(server.key_ring))
    return Response(200, content, "application/jwk-set+json", dict(_CACHED))
