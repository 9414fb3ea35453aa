"""The kubelet's HTTPS server, which the API server calls; one file an endpoint beside this one.

Every caller shows who it is and is asked for permission (`access.py`).
"""

import ssl
from collections.abc import Callable

from aiohttp import web

from controlplane.client.indexer import Indexer
from controlplane.kubelet.node.usage import read_node_usage
from controlplane.kubelet.runtimes.interface import ContainerRuntime
from controlplane.kubelet.server.access import Access
from controlplane.kubelet.server.attach import Attach
from controlplane.kubelet.server.containers import Containers
from controlplane.kubelet.server.exec import Exec
from controlplane.kubelet.server.health import Health
from controlplane.kubelet.server.logs import Logs
from controlplane.kubelet.server.pod_port import PodPort
from controlplane.kubelet.server.pods import Pods
from controlplane.kubelet.server.port_forward import PortForward
from controlplane.kubelet.server.stats import Stats
from kvstore.base.clock import Clock


def tls_context(
    cert_file: str, key_file: str, client_ca_file: str, *, demands_certificate: bool = True
) -> ssl.SSLContext:
    """A server context that verifies client certificates, and demands them unless callers may show tokens instead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.verify_mode = ssl.CERT_REQUIRED if demands_certificate else ssl.CERT_OPTIONAL
    context.load_verify_locations(client_ca_file)
    return context


class KubeletServer:
    """All endpoints of a node."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        pods: Indexer,
        clock: Clock,
        access: Access | None = None,
        *,
        node_name: str = "",
        disk: str = "/",
    ) -> None:
        """`disk` is a path on the node's own disk."""
        # None lets in whoever TLS has let in, for tests.
        self._middlewares = [] if access is None else [access.middleware()]
        containers = Containers(runtime, pods)
        self._routes = [
            *Health().routes(),
            *Pods(pods).routes(),
            *Logs(runtime, pods, clock).routes(),
            *Exec(containers).routes(),
            *Attach(containers).routes(),
            *PortForward(containers).routes(),
            *PodPort(containers).routes(),
            *Stats(runtime, pods, clock, node_name, lambda: read_node_usage(disk)).routes(),
        ]

    async def serve(
        self, host: str, port: int, tls: ssl.SSLContext | None, ready: Callable[[int], None]
    ) -> web.AppRunner:
        """Listen; `ready` hears the port. The caller cleans the runner up."""
        application = web.Application(middlewares=self._middlewares)
        application.router.add_routes(self._routes)
        # A reader who leaves ends the following of a log, however quiet the container is.
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        ready(int(runner.addresses[0][1]))
        return runner
