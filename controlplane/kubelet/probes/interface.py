"""What the ways of probing share: whom they probe, and the words of a failure. Start here; prober.py decides when.

A way is one file with one function `(target, wanted, timeout_seconds) -> problem`; None means well. TimeoutError,
OSError and ValueError are told as problems, too.
"""

import asyncio
import socket
from dataclasses import dataclass

from controlplane.api.meta import View
from controlplane.kubelet.runtimes.interface import ContainerRuntime


@dataclass(frozen=True, slots=True)
class Target:
    """A running container."""

    spec: View
    container_id: str
    sandbox_id: str
    pod_ip: str
    runtime: ContainerRuntime

    def port(self, port: int | str) -> int:
        """A port by number or by the name the container gives it. Raises ValueError."""
        for entry in self.spec.get("ports") or ():
            if entry.get("name") == port:
                return int(entry["containerPort"])
        return int(port)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connection to a numeric address or name as the pod's network sees it. Raises OSError."""
        made = await self.runtime.open_socket(self.sandbox_id)
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made


def refused(host: str, port: int, problem: OSError) -> str:
    """A connection that did not come about, as upstream words it."""
    why = "connection refused" if isinstance(problem, ConnectionRefusedError) else str(problem)
    return f"dial tcp {host}:{port}: connect: {why}"
