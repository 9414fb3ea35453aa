"""/api and /apis: what is served, plain or aggregated, as the Accept header asks."""

from controlplane.api import errors
from controlplane.api.scheme import Scheme
from controlplane.api.wire import discovery
from controlplane.apiserver.http.messages import Request, Response, json_response
from controlplane.apiserver.http.negotiate import JSON, parse_accept, reply_form
from controlplane.apiserver.served import Parts


async def handle(parts: Parts, request: Request) -> Response:
    """A discovery document."""
    scheme = parts.scheme
    words = [part for part in request.path.split("/") if part]
    if len(words) == 1:
        return _root(scheme, request, is_legacy=words[0] == "api")
    content = None
    if words[0] == "api" and len(words) == 2:
        content = discovery.api_resource_list(scheme, "", words[1])
    elif words[0] == "apis" and len(words) == 2:
        content = discovery.api_group(scheme, words[1])
    elif words[0] == "apis" and len(words) == 3:
        content = discovery.api_resource_list(scheme, words[1], words[2])
    if content is None:
        raise errors.NotFound.path()
    return json_response(200, content)


def _root(scheme: Scheme, request: Request, *, is_legacy: bool) -> Response:
    for wanted in parse_accept(request.headers.get("accept", "")):
        if wanted.type != JSON:
            continue
        # Compat: a version the client has not named is one it cannot read (kubectl 1.27 to 1.29 know v2beta1 only).
        version = wanted.params.get("v", "")
        is_aggregated = (
            wanted.params.get("g") == "apidiscovery.k8s.io"
            and wanted.params.get("as") == "APIGroupDiscoveryList"
        )
        if is_aggregated and version in discovery.AGGREGATED_VERSIONS:
            content = discovery.aggregated(scheme, version, legacy=is_legacy)
            response = json_response(200, content)
            response.content_type = discovery.aggregated_media_type(version)
            response.headers["Vary"] = "Accept"
            return response
        if not wanted.params:
            break
    reply_form(request.headers.get("accept", ""))
    content = discovery.api_versions(scheme) if is_legacy else discovery.api_group_list(scheme)
    return json_response(200, content)
