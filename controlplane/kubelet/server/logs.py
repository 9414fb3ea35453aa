"""GET /containerLogs/NAMESPACE/POD/CONTAINER: the log of a container, or in words why there is none."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from controlplane.api import times
from controlplane.client.indexer import Indexer
from controlplane.kubelet.runtimes.interface import ContainerRuntime, ContainerStatus, LogOptions
from kvstore.base.clock import Clock

# Compat: a kubelet spells these reasons out and gives all others as they are.
_WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class Logs:
    """The endpoint."""

    def __init__(self, runtime: ContainerRuntime, pods: Indexer, clock: Clock) -> None:
        self._runtime = runtime
        self._pods = pods
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs)]

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        pod = self._pods.get(names["pod"], names["namespace"])
        if pod is None:
            return web.Response(status=404, text=f'pod "{names["pod"]}" not found on this node\n')
        try:
            options = log_options(request.query, self._clock.time())
        except ValueError as problem:
            return web.Response(status=400, text=f"{problem}\n")
        container = names["container"]
        wanted = request.query.get("previous") == "true"
        run = self._run_of(pod, container, previous=wanted)
        if run is None:
            text = waiting_text(pod, container) + "\n"
            if wanted:
                text = f'previous terminated container "{container}" in pod "{names["pod"]}" not found\n'
            return web.Response(status=400, text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            await response.prepare(request)
            async for part in self._runtime.logs(run.id, options):
                await response.write(part)
            await response.write_eof()
        except ConnectionResetError:
            pass  # The reader has gone; there is nobody to tell.
        return response

    def _run_of(self, pod: dict[str, Any], name: str, *, previous: bool) -> ContainerStatus | None:
        every = self._runtime.list_containers(pod["metadata"]["uid"])
        runs = [status for status in every if status.name == name]
        if previous:
            return runs[-2] if len(runs) > 1 else None
        return runs[-1] if runs else None


def waiting_text(pod: Mapping[str, Any], container: str) -> str:
    """Why there are no logs of a container that never ran, in the words users look for."""
    status = pod.get("status") or {}
    reason = ""
    for field in ("containerStatuses", "initContainerStatuses"):
        for row in status.get(field) or ():
            if row.get("name") == container:
                reason = ((row.get("state") or {}).get("waiting") or {}).get("reason", "")
    text = f'container "{container}" in pod "{pod["metadata"]["name"]}" is waiting to start'
    why = _WAITING.get(reason, reason)
    return f"{text}: {why}" if why else text


def log_options(query: Any, now: float) -> LogOptions:
    """The parameters of a log request; ValueError for what is not a number or a time."""

    def number(name: str) -> int | None:
        text = query.get(name)
        if text in (None, ""):
            return None
        if not str(text).isdigit():
            raise ValueError(f"invalid {name} {text!r}: expected a number")
        return int(text)

    since = number("sinceSeconds")
    since_time = query.get("sinceTime")
    return LogOptions(
        follow=query.get("follow") == "true",
        tail_lines=number("tailLines"),
        since=now - since if since is not None else times.parse(since_time) if since_time else None,
        limit_bytes=number("limitBytes"),
        timestamps=query.get("timestamps") == "true",
    )
