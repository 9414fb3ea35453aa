"""GET /healthz: the server answers, so the kubelet's loop turns."""

from aiohttp import web


class Health:
    """The endpoint."""

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get("/healthz", self._healthz)]

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")
