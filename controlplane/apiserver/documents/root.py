"""`/`: which paths there are; and the answer to those that are none."""

from controlplane.apiserver.http.messages import Request, Response, json_response
from controlplane.apiserver.served import Server

_FIXED = (
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/readyz",
    "/version",
)


async def handle(server: Server, request: Request) -> Response:
    """The paths of all group versions and documents, in order."""
    del request
    paths = {"/api", "/apis", "/apis/", *_FIXED}
    for group, version in server.scheme.group_versions():
        paths.add(f"/apis/{group}/{version}" if group else f"/api/{version}")
        if group:
            paths.add(f"/apis/{group}")
    for remote in server.directory.remotes():
        paths |= {f"/apis/{remote.group}", remote.path}
    return json_response(200, {"paths": sorted(paths)})


def not_found() -> Response:
    """Plain text, as the original answers outside of its APIs."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(404, b"404 page not found\n", "text/plain; charset=utf-8", headers)
