"""/debug/api_priority_and_fairness: what waits and what is served, as tables."""

from controlplane.apiserver.documents import root
from controlplane.apiserver.flowcontrol import dumps
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.served import Server

_PREFIX = "/debug/api_priority_and_fairness/"


async def handle(server: Server, request: Request) -> Response:
    """One of three tables; without fairness there are none."""
    if not server.config.enable_priority_and_fairness:
        return root.not_found()
    name = request.path.removeprefix(_PREFIX)
    if name == "dump_priority_levels":
        text = dumps.levels(server.flow)
    elif name == "dump_queues":
        text = dumps.queues(server.flow)
    elif name == "dump_requests":
        to_wall = server.clock.time() - server.clock.monotonic()
        has_details = bool(request.option("includeRequestDetails"))
        text = dumps.requests(server.flow, lambda moment: moment + to_wall, has_details=has_details)
    else:
        return root.not_found()
    return Response(200, text.encode(), "text/plain; charset=utf-8")
