"""GET pods/NAME/log: found out which container is meant, then streamed through from the node's agent."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.apiserver.http.messages import (
    Answer,
    Request,
    Response,
    Socket,
    StreamResponse,
    Upgrade,
)
from controlplane.apiserver.requests.integers import integer
from controlplane.apiserver.served import Server
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS

_PASSED_ON = (
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
)


# What a WebSocket that only carries bytes to the client speaks; without a name, bytes.
_SOCKET_PROTOCOLS = ("binary.k8s.io", "base64.binary.k8s.io", "")


async def handle(server: Server, request: Request, resource: Resource) -> Answer:
    """The log, as text; over a WebSocket for a client that asks for one."""
    answer = await _stream(server, request, resource)
    if answer is None:
        # Compat: nothing at all while the pod waits for a node.
        return Response(204, b"", "")
    if request.headers.get("upgrade", "").lower() != "websocket":
        return answer

    async def carry(socket: Socket) -> None:
        async for chunk in answer.chunks:
            if not chunk:
                continue
            is_text = socket.protocol.startswith("base64.")
            await socket.send(base64.b64encode(chunk).decode() if is_text else chunk)

    return Upgrade(carry, _SOCKET_PROTOCOLS)


async def _stream(server: Server, request: Request, resource: Resource) -> StreamResponse | None:
    info = request.info
    numbers = {key: integer(request, key) for key in ("tailLines", "limitBytes", "sinceSeconds")}
    problems = _problems(numbers, has_time="sinceTime" in request.query)
    if problems:
        raise errors.Invalid.of("", "PodLogOptions", info.name, problems)
    pod = await server.registries[resource].get(info.namespace, info.name)
    container = container_of(pod, request.option("container"))
    node_name = meta.spec(pod).get("nodeName")
    if not node_name:
        return None
    node = await node_named(server, node_name)
    query = {key: request.option(key) for key in _PASSED_ON if key in request.query}
    chunks = await server.kubelet.container_logs(node, info.namespace, info.name, container, query)
    return StreamResponse(_until(chunks, server.stopping), "text/plain")


def _problems(numbers: Mapping[str, int | None], *, has_time: bool) -> list[Cause]:
    causes: list[Cause] = []
    lines, size, seconds = numbers["tailLines"], numbers["limitBytes"], numbers["sinceSeconds"]
    if lines is not None and lines < 0:
        causes.append(fields.invalid("tailLines", lines, "must be greater than or equal to 0"))
    if size is not None and size < 1:
        causes.append(fields.invalid("limitBytes", size, "must be greater than 0"))
    if seconds is not None and has_time:
        detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(fields.forbidden("[]", detail))
    elif seconds is not None and seconds < 1:
        causes.append(fields.invalid("sinceSeconds", seconds, "must be greater than 0"))
    return causes


async def node_named(server: Server, name: str) -> Obj:
    """A pod's node. Raises NotFound, in which the node is taken for a pod, as in the original."""
    try:
        return await server.registries[NODES].get("", name)
    except errors.NotFound:
        raise errors.NotFound.of(PODS, name) from None


async def _until(chunks: AsyncIterator[bytes], stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """`chunks` until the server ends."""
    # The headers go out at once, so that a follower of a silent log sees that it stands.
    yield b""
    stop = asyncio.ensure_future(stopping.wait())
    following: asyncio.Future[bytes] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(chunks))
            await asyncio.wait((stop, following), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        stop.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait((following,))
        aclose = getattr(chunks, "aclose", None)
        if aclose is not None:
            await aclose()


def container_of(pod: Obj, wanted: str) -> str:
    """The container whose log is meant; BadRequest, in upstream's words, when that is unclear."""
    name, spec = meta.name(pod), meta.spec(pod)
    groups = [
        [one.get("name", "") for one in spec.get(field) or ()]
        for field in ("containers", "initContainers", "ephemeralContainers")
    ]
    if wanted:
        if not any(wanted in group for group in groups):
            raise errors.BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = meta.annotations(pod).get("kubectl.kubernetes.io/default-container")
    if default and default in groups[0]:
        return default
    if len(groups[0]) == 1:
        return str(groups[0][0])
    shown = f"[{' '.join(groups[0])}]"
    if groups[1]:
        shown += f" or one of the init containers: [{' '.join(groups[1])}]"
    raise errors.BadRequest(
        f"a container name must be specified for pod {name}, choose one of: {shown}"
    )
