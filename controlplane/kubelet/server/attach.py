"""/attach/NAMESPACE/POD[/UID]/CONTAINER: the streams of a running container over a WebSocket or SPDY."""

from aiohttp import web

from controlplane.kubelet.runtimes.interface import ContainerRuntimeError, Session
from controlplane.kubelet.server.containers import Containers, UnknownError
from controlplane.kubelet.server.remote_command import CannotBegin, Streams, respond


class Attach:
    """The endpoint."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        paths = (
            "/attach/{namespace}/{pod}/{container}",
            "/attach/{namespace}/{pod}/{uid}/{container}",
        )
        return [add(path, self._attach) for path in paths for add in (web.get, web.post)]

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        names, streams = request.match_info, Streams.asked(request.query)
        if not streams.any:
            return web.Response(
                status=400, text="you must specify at least 1 of stdin, stdout, stderr"
            )
        uid = names.get("uid", "")
        try:
            run = self._containers.running(
                names["namespace"], names["pod"], names["container"], uid
            )
        except UnknownError as problem:
            return web.Response(status=404, text=str(problem))

        async def begin() -> Session:
            try:
                return await self._containers.runtime.attach(run.id)
            except (ContainerRuntimeError, KeyError) as problem:
                raise CannotBegin(str(problem)) from problem

        return await respond(request, streams, begin, ())
