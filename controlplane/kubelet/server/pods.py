"""GET /pods: the pods of this node, as the kubelet sees them."""

import json

from aiohttp import web

from controlplane.client.indexer import Indexer


class Pods:
    """The endpoint."""

    def __init__(self, pods: Indexer) -> None:
        self._pods = pods

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get("/pods", self._list)]

    async def _list(self, request: web.Request) -> web.Response:
        body = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods.list()}
        return web.Response(text=json.dumps(body), content_type="application/json")
