"""/exec/NAMESPACE/POD[/UID]/CONTAINER: a command in a running container, its streams over a WebSocket or SPDY."""

from aiohttp import web

from controlplane.kubelet.runtimes.interface import ContainerRuntimeError, Session
from controlplane.kubelet.server.containers import Containers, UnknownError
from controlplane.kubelet.server.remote_command import CannotBegin, Streams, respond


class Exec:
    """The endpoint."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        paths = ("/exec/{namespace}/{pod}/{container}", "/exec/{namespace}/{pod}/{uid}/{container}")
        return [add(path, self._exec) for path in paths for add in (web.get, web.post)]

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        names, streams = request.match_info, Streams.asked(request.query)
        argv = request.query.getall("command", [])
        if not streams.any:
            return web.Response(
                status=400, text="you must specify at least 1 of stdin, stdout, stderr"
            )
        if not argv:
            return web.Response(
                status=400, text="you must specify at least 1 command for the container"
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
                return await self._containers.runtime.exec(
                    run.id, argv, stdin=streams.stdin, tty=streams.tty
                )
            except (ContainerRuntimeError, KeyError) as problem:
                text = f"error executing command in container: {problem}"
                raise CannotBegin(text) from problem

        return await respond(request, streams, begin, argv)
