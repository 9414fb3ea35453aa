"""pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy: a request passed on to what the object stands for.

Only addresses that the cluster itself has told are connected to: a pod's port, a pod that a Service's Endpoints name,
a node's kubelet. An address that is no host's - loopback, link-local - is refused.

Sources: pkg/registry/core/pod/strategy.go, core/service/storage, core/node/strategy.go (ResourceLocation).
"""

import ssl
from collections.abc import Awaitable, Callable

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CONNECT
from controlplane.apiserver.backends import names
from controlplane.apiserver.backends.dial import Target, dial, has_tunnel, unverified
from controlplane.apiserver.backends.forward import Backend, BackendError, forward, redirect
from controlplane.apiserver.http.messages import Answer, Request
from controlplane.apiserver.nodes.kubelet import node_address
from controlplane.apiserver.registry.admitted import admitted
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES

_Find = Callable[[Server, Request, names.Name], Awaitable[Target]]


async def handle_pod(server: Server, request: Request, resource: Resource) -> Answer:
    """Pass a request on to a pod. Raises APIError."""
    return await _handle(server, request, resource, "PodProxyOptions", _pod)


async def handle_service(server: Server, request: Request, resource: Resource) -> Answer:
    """Pass a request on to one of a Service's pods. Raises APIError."""
    return await _handle(server, request, resource, "ServiceProxyOptions", _service)


async def handle_node(server: Server, request: Request, resource: Resource) -> Answer:
    """Pass a request on to a node: its kubelet, or another port of it. Raises APIError."""
    return await _handle(server, request, resource, "NodeProxyOptions", _node)


async def _handle(
    server: Server, request: Request, resource: Resource, kind: str, find: _Find
) -> Answer:
    if "dryRun" in request.query:
        raise errors.BadRequest("dryRun is not supported")
    info, registry = request.info, server.registries[resource]
    path = names.sub_path(info.rest, info.path)
    options: Obj = {"apiVersion": "v1", "kind": kind}
    if path:
        options["path"] = path
    await admitted(
        registry,
        writes.connection_of(request, resource),
        CONNECT,
        options,
        kind=registry.kind,
        namespace=info.namespace,
        name=info.name,
    )
    name = names.parse(info.name)
    if name is None:
        raise errors.BadRequest(f'invalid {resource.singular} request "{info.name}"')
    target = await find(server, request, name)
    if not path and request.method in ("GET", "HEAD"):
        return redirect(request)
    prefix = info.path.removesuffix(path) if path else info.path

    backend = Backend(
        lambda: dial(server.kubelet, target),
        target.authority,
        path,
        prefix,
        secrets=server.front_proxy_headers,
    )
    try:
        return await forward(request, backend)
    except BackendError as error:
        if error.is_dial:
            raise errors.APIError(str(error)) from error
        raise errors.ServiceUnavailable(
            f"error trying to reach service: {error}", retry_after_seconds=0
        ) from error


def _tls(scheme: str) -> ssl.SSLContext | None:
    return unverified() if scheme == "https" else None


async def _pod(server: Server, request: Request, name: names.Name) -> Target:
    pod = await server.registries[PODS].get(request.info.namespace, name.name)
    port = name.port or _first_port(pod) or ("443" if name.scheme == "https" else "80")
    ips = [str(one.get("ip") or "") for one in meta.status(pod).get("podIPs") or ()]
    return await _to_pod(server, pod, ips[0] if ips else "", _number(port), name.scheme)


def _first_port(pod: Obj) -> str:
    """The first port that a container declares."""
    for container in meta.spec(pod).get("containers") or ():
        for port in container.get("ports") or ():
            return str(port.get("containerPort") or "")
    return ""


def _number(port: str) -> int:
    """A port's number. Compat: names of a pod's ports are not looked up, and so fail as addresses."""
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return int(port)
    raise errors.ServiceUnavailable(
        f"error trying to reach service: dial tcp: lookup tcp/{port}: unknown port",
        retry_after_seconds=0,
    )


async def _to_pod(server: Server, pod: Obj, address: str, port: int, scheme: str) -> Target:
    node = None
    name = str(meta.spec(pod).get("nodeName") or "")
    if name:
        node = await server.lookup.find(NODES, "", name)
    # A kubelet that opens ports of its pods opens no others, whatever address is told here.
    is_tunnelled = bool(address) and node is not None and has_tunnel(node)
    if not is_tunnelled and not names.is_public(address):
        raise errors.BadRequest("address not allowed")
    return Target(address, port, _tls(scheme), "", pod, node)


async def _service(server: Server, request: Request, name: names.Name) -> Target:
    info, port = request.info, name.port
    if port.isascii() and port.isdigit():
        service = await server.registries[SERVICES].get(info.namespace, name.name)
        declared = meta.spec(service).get("ports") or ()
        found = [one for one in declared if one.get("port") == int(port)]
        if not found:
            raise _unavailable(f'no service port {int(port)} found for service "{name.name}"')
        port = str(found[0].get("name") or "")
    endpoints = await server.registries[ENDPOINTS].get(info.namespace, name.name)
    subsets = list(endpoints.get("subsets") or ())
    if not subsets:
        raise _unavailable(f'no endpoints available for service "{name.name}"')
    first = server.rng.randrange(len(subsets))
    for subset in (*subsets[first:], *subsets[:first]):
        number = next(
            (one["port"] for one in subset.get("ports") or () if (one.get("name") or "") == port),
            None,
        )
        addresses = list(subset.get("addresses") or ())
        if number is None or not addresses:
            continue
        begin = server.rng.randrange(len(addresses))
        for address in (*addresses[begin:], *addresses[:begin]):
            pod = await _behind(server, info.namespace, address)
            if pod is not None:
                return await _to_pod(server, pod, str(address["ip"]), int(number), name.scheme)
    raise _unavailable(f'no endpoints available for service "{info.name}"')


async def _behind(server: Server, namespace: str, address: Obj) -> Obj | None:
    """The pod of an address of Endpoints; None where there is none that has it: others are not connected to."""
    reference = address.get("targetRef") or {}
    if reference.get("namespace") != namespace:
        return None
    pod = await server.lookup.find(PODS, namespace, str(reference.get("name") or ""))
    if pod is None:
        return None
    ips = [one.get("ip") for one in meta.status(pod).get("podIPs") or ()]
    return pod if address.get("ip") in ips else None


def _unavailable(message: str) -> errors.ServiceUnavailable:
    return errors.ServiceUnavailable(message, retry_after_seconds=0)


async def _node(server: Server, request: Request, name: names.Name) -> Target:
    node = await server.registries[NODES].get("", name.name)
    host, kubelet_port = node_address(node)
    if name.port in ("", str(kubelet_port)):
        return Target(host, kubelet_port, server.kubelet.tls, host)
    if not names.is_public(host):
        raise errors.BadRequest("address not allowed")
    return Target(host, _number(name.port), _tls(name.scheme))
