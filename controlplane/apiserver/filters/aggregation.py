"""Requests for what another server answers: passed on in the user's name, with this server's word for it.

Source: kube-aggregator/pkg/apiserver/handler_proxy.go.
"""

import asyncio

from controlplane.api import errors
from controlplane.apiserver.aggregation.calls import RemoteServers, identity
from controlplane.apiserver.aggregation.directory import Directory, Remote
from controlplane.apiserver.backends.forward import Backend, BackendError, forward
from controlplane.apiserver.backends.headers import Secrets
from controlplane.apiserver.callouts.endpoints import UnresolvedError
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request, Response
from kvstore.base.log import get_logger

log = get_logger(__name__)


class Aggregation:
    """The filter. `secrets` are the headers of this server's own front proxies."""

    def __init__(
        self,
        directory: Directory,
        servers: RemoteServers,
        secrets: Secrets,
        most_seconds: float,
    ) -> None:
        self._directory = directory
        self._servers = servers
        self._most_seconds = most_seconds
        self._secrets = secrets

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Pass on what is another's."""
        words = [word for word in request.path.split("/") if word]
        if words[:2] == ["openapi", "v3"]:
            words = words[2:]
        if len(words) < 3 or words[0] != "apis":
            return await proceed(request)
        remote = self._directory.find(words[1], words[2])
        if remote is None:
            return await proceed(request)
        if not remote.is_available:
            return plain(503, "service unavailable")
        if request.info.is_resource:
            # It has its deadline already, or none.
            return await self._passed_on(request, remote)
        try:
            async with asyncio.timeout(self._most_seconds):
                return await self._passed_on(request, remote)
        except TimeoutError:
            raise errors.Timeout("request did not complete within the allotted timeout") from None

    async def _passed_on(self, request: Request, remote: Remote) -> Answer:
        try:
            target = await self._servers.resolve(remote)
        except UnresolvedError as error:
            log.warning("cannot resolve", api_service=remote.name, error=str(error))
            return plain(503, "service unavailable")
        except ValueError as error:
            return plain(500, str(error))
        host = f"{remote.host}:{remote.port}"
        backend = Backend(
            connect=lambda: self._servers.connect(target),
            authority=host,
            path=request.path,
            prefix="",
            extra=(
                *identity(request.user),
                ("Audit-Id", request.request_id),
                ("X-Forwarded-Host", host),
                ("X-Forwarded-Proto", "https"),
            ),
            secrets=self._secrets,
            host=host,
        )
        try:
            return await forward(request, backend)
        except BackendError as error:
            text = str(error) if error.is_dial else f"error trying to reach service: {error}"
            return plain(503, text)


def plain(code: int, text: str) -> Response:
    """A refusal as plain text: this server cannot speak for the other's kinds."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(code, f"{text}\n".encode(), "text/plain; charset=utf-8", headers)
