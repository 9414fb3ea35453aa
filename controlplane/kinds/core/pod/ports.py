"""The ports of a pod's containers, and whether pods take the same ones of a node. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.api.meta import Obj, View
from controlplane.kinds.core.pod.views import running_containers

HostPort = tuple[str, str, int]
"""Protocol, address and port that a pod takes of its node."""

ANY_ADDRESS = "0.0.0.0"


def ports(spec: View) -> Iterator[Obj]:
    """The ports of all containers that run beside each other."""
    for container in running_containers(spec):
        yield from container.get("ports") or ()


def host_ports(spec: View) -> tuple[HostPort, ...]:
    """The ports of the node that a pod asks for."""
    return tuple(
        (
            str(port.get("protocol") or "TCP"),
            str(port.get("hostIP") or ANY_ADDRESS),
            int(port["hostPort"]),
        )
        for port in ports(spec)
        if port.get("hostPort")
    )


def conflict(wanted: HostPort, held: HostPort) -> bool:
    """Same protocol and port on the same address; the wildcard address is on all of them."""
    if wanted[0] != held[0] or wanted[2] != held[2]:
        return False
    return wanted[1] == held[1] or ANY_ADDRESS in (wanted[1], held[1])
