"""TokenReview: whose token is this? For webhooks, node agents and whoever is shown one of our tokens.

Source: pkg/registry/authentication/tokenreview/storage.go.
"""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.apiserver.authn.bearer import BadTokenError
from controlplane.apiserver.authn.chain import authenticated
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.served import Server


async def review(server: Server, request: Request, review: Obj) -> Obj:
    """The token's user, or why there is none; BadRequest without a token."""
    del request
    spec = review.get("spec") or {}
    token, asked = str(spec.get("token") or ""), tuple(spec.get("audiences") or ())
    if not token:
        raise errors.BadRequest("token is required for TokenReview in authentication")
    wanted = asked or server.tokens.audiences
    try:
        known = await server.tokens.authenticate(token, wanted)
    except BadTokenError as error:
        return {**review, "status": {"user": {}, "error": str(error)}}
    # Sorts of tokens without audiences are for this server.
    audiences = known.audiences or tuple(one for one in wanted if one in server.tokens.audiences)
    if asked and not audiences:
        return {**review, "status": {"user": {}, "error": "invalid bearer token"}}
    status: Obj = {"authenticated": True, "user": authenticated(known.user).info()}
    if audiences:
        status["audiences"] = list(audiences)
    return {**review, "status": status}
