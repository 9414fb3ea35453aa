"""pods/NAME/exec, attach and portforward: an upgraded connection, its messages carried to the node's kubelet and back.

The server reads none of them: which sub-protocol is spoken is agreed on with the client, and spoken with the kubelet.
What keeps the kubelet from taking part is told in that protocol's own way, since the client has been upgraded by then.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.streams import ERROR, REMOTE_COMMAND_PROTOCOLS, V4, V4_BASE64, Framing
from controlplane.apiserver.admission.interface import CONNECT
from controlplane.apiserver.backends.dial import Target, dial
from controlplane.apiserver.backends.forward import Backend, BackendError, forward
from controlplane.apiserver.http.messages import Answer, Request, Socket, Upgrade
from controlplane.apiserver.nodes.kubelet import node_address
from controlplane.apiserver.registry.admitted import admitted
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.apiserver.subresources.log import node_named

_SPDY = "spdy/3.1"
TUNNELED = "SPDY/3.1+portforward.k8s.io"
"""SPDY in messages, as kubectl forwards ports since 1.31."""
PORT_FORWARD_PROTOCOLS = (TUNNELED, V4, V4_BASE64)

# The options' names, and a kubelet's for them.
_STREAMS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))

Query = Sequence[tuple[str, str]]


async def handle_exec(server: Server, request: Request, resource: Resource) -> Answer:
    """Run a command in a container. Raises BadRequest."""
    await _let_in(server, request, resource, "PodExecOptions", command=_commands(request))
    query = [*_wanted_streams(request), *(("command", word) for word in _commands(request))]
    return await _to_container(server, request, resource, "exec", query)


async def handle_attach(server: Server, request: Request, resource: Resource) -> Answer:
    """See the streams of a container. Raises BadRequest."""
    await _let_in(server, request, resource, "PodAttachOptions")
    return await _to_container(server, request, resource, "attach", _wanted_streams(request))


async def handle_port_forward(server: Server, request: Request, resource: Resource) -> Answer:
    """Reach ports of a pod. Raises BadRequest."""
    ports = [int(port) for port in request.query.get("ports", []) if port.isdigit()]
    await _let_in(server, request, resource, "PodPortForwardOptions", ports=ports)
    info = request.info
    pod = await server.registries[resource].get(info.namespace, info.name)
    node = await _node_of(server, pod)
    query = [("port", port) for port in request.query.get("ports", [])]
    path = f"/portForward/{info.namespace}/{info.name}"
    return await _upgrade(server, request, node, path, query, PORT_FORWARD_PROTOCOLS)


async def _let_in(
    server: Server, request: Request, resource: Resource, kind: str, **lists: Sequence[str | int]
) -> None:
    """Ask admission about a connection, by its options as an object. Raises BadRequest and what plugins raise."""
    if "dryRun" in request.query:
        raise errors.BadRequest("dryRun is not supported")
    registry, info = server.registries[resource], request.info
    options: Obj = {"apiVersion": "v1", "kind": kind}
    options |= {name: True for name, _ in _STREAMS if request.flag(name)}
    if request.option("container"):
        options["container"] = request.option("container")
    options |= {name: list(values) for name, values in lists.items() if values}
    context = writes.connection_of(request, resource)
    await admitted(
        registry,
        context,
        CONNECT,
        options,
        kind=registry.kind,
        namespace=info.namespace,
        name=info.name,
    )


def _commands(request: Request) -> list[str]:
    return list(request.query.get("command", []))


def _wanted_streams(request: Request) -> list[tuple[str, str]]:
    return [(theirs, "1") for ours, theirs in _STREAMS if request.flag(ours)]


async def _to_container(
    server: Server, request: Request, resource: Resource, verb: str, query: Query
) -> Answer:
    info = request.info
    pod = await server.registries[resource].get(info.namespace, info.name)
    container = container_of(pod, request.option("container"))
    node = await _node_of(server, pod)
    # Compat: found by the node in the original, when the pod has one.
    if not any(name in ("input", "output", "error") for name, _ in query):
        raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if verb == "exec" and not _commands(request):
        raise errors.BadRequest("you must specify at least 1 command for the container")
    path = f"/{verb}/{info.namespace}/{info.name}/{container}"
    return await _upgrade(server, request, node, path, query, REMOTE_COMMAND_PROTOCOLS)


def container_of(pod: Obj, wanted: str) -> str:
    """The container that is meant; BadRequest, in upstream's words, when that is unclear."""
    name, spec = meta.name(pod), meta.spec(pod)
    fields = ("initContainers", "containers", "ephemeralContainers")
    names = [str(one.get("name", "")) for field in fields for one in spec.get(field) or ()]
    if wanted:
        if wanted not in names:
            raise errors.BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    own = [str(one.get("name", "")) for one in spec.get("containers") or ()]
    if len(own) == 1:
        return own[0]
    text = f"a container name must be specified for pod {name}"
    raise errors.BadRequest(f"{text}, choose one of: [{' '.join(names)}]" if own else text)


async def _node_of(server: Server, pod: Obj) -> Obj:
    name = meta.spec(pod).get("nodeName")
    if not name:
        raise errors.BadRequest(f"pod {meta.name(pod)} does not have a host assigned")
    return await node_named(server, str(name))


async def _upgrade(
    server: Server,
    request: Request,
    node: Obj,
    path: str,
    query: Query,
    protocols: tuple[str, ...],
) -> Answer:
    if _SPDY in request.headers.get("upgrade", "").lower():
        return await _as_it_is(server, request, node, path, query)

    async def carry(socket: Socket) -> None:
        try:
            await server.kubelet.carry(node, path, query, socket)
        except errors.APIError as problem:
            await _tell(socket, problem.status())

    return Upgrade(carry, protocols)


async def _as_it_is(server: Server, request: Request, node: Obj, path: str, query: Query) -> Answer:
    """SPDY, whose streams the kubelet and the client open: none of this server's business."""
    host, port = node_address(node)
    target = Target(host, port, server.kubelet.tls, host)
    backend = Backend(
        lambda: dial(server.kubelet, target),
        target.authority,
        path,
        prefix="",
        secrets=server.front_proxy_headers,
        host=target.authority,
        query=urlencode(query),
    )
    try:
        return await forward(request, backend)
    except BackendError as error:
        raise errors.APIError(str(error)) from error


async def _tell(socket: Socket, status: dict[str, Any]) -> None:
    if socket.protocol == TUNNELED:
        return  # Streams are the client's to open: closing is all that can be said.
    framing = Framing(socket.protocol)
    text = json.dumps(status) if framing.has_status else str(status.get("message", ""))
    await socket.send(framing.encode(ERROR, text.encode()))
