"""The network of a node and its pods in network namespaces: a pair of links to each pod's, and routes.

There is no bridge: each pod is reached by a route of its own, so that all traffic passes the node's rules, also between
pods of one node, and no module of the kernel is needed but the one for pairs of links.

Every function runs in a process that may enter the namespaces it is given, and leaves it where it was. Addresses live
in these namespaces alone; nothing of the host's network is touched.
"""

import contextlib
import errno
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

from controlplane.kubelet import syscalls
from controlplane.kubelet.network.rtnetlink import Netlink

UPLINK = "fabric0"
_NODE = "169.254.1.1"
"""The node's address on every link to a pod, whose next hop it is; it means something on that link alone."""
_FABRIC = "169.254.1.2"
"""The fabric's on every link to a node. Another one, as no next hop may be an address of one's own."""


def node_address(cidr: str) -> str:
    """The address of the node among its pods: the first of the range."""
    return str(ipaddress.ip_network(cidr)[1])


@contextlib.contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Run the block in another network namespace; for single-threaded processes."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.setns(own, syscalls.CLONE_NEWNET)
    finally:
        os.close(own)


def set_up_node(cidr: str) -> None:
    """Make the current network namespace a node's: loopback with its address, forwarding, low ports for all."""
    network = ipaddress.ip_network(cidr)
    with Netlink() as link:
        link.set_up("lo")
        link.add_address("lo", node_address(cidr), 32)
        link.refuse(str(network.network_address), network.prefixlen)
    _set("net/ipv4/ip_forward", "1")
    _set("net/ipv4/ip_unprivileged_port_start", "0")
    # What asks for a host port of a pod at 127.0.0.1 leaves loopback on its way there.
    _set("net/ipv4/conf/all/route_localnet", "1")


def add_node_address(address: str) -> None:
    """Give the current network namespace, a node's, one more address of its own. Idempotent."""
    with Netlink() as link:
        try:
            link.add_address("lo", address, 32)
        except OSError as problem:
            if problem.errno != errno.EEXIST:
                raise


def take_range(cidr: str) -> None:
    """Let programs of the current network namespace, a node's, listen at every address of a range. Idempotent."""
    network = ipaddress.ip_network(cidr)
    with Netlink() as link:
        try:
            link.add_local(str(network.network_address), network.prefixlen)
        except OSError as problem:
            if problem.errno != errno.EEXIST:
                raise


def join_fabric(fabric: int, name: str, cidr: str) -> None:
    """Link the current network namespace, a node's, to the fabric's, which routes between nodes.

    `name` tells the nodes apart; what is left of a link of that name is replaced.
    """
    network, port = ipaddress.ip_network(cidr), f"n{name[-10:]}"
    with inside(fabric), Netlink() as link, contextlib.suppress(OSError):
        link.delete(port)
    with Netlink() as link:
        link.add_veth(UPLINK, port, fabric)
        link.set_up(UPLINK)
        link.add_route("0.0.0.0", 0, link=UPLINK, gateway=_FABRIC, source=node_address(cidr))
    with inside(fabric):
        with Netlink() as link:
            link.add_address(port, _FABRIC, 32)
            link.set_up(port)
            own = str(network.network_address)
            link.add_route(own, network.prefixlen, link=port, gateway=node_address(cidr))
        _set("net/ipv4/ip_forward", "1")


def set_up_loopback() -> None:
    """Switch on the loopback of the current network namespace; there is nothing else to see."""
    with Netlink() as link:
        link.set_up("lo")


def set_up_pod(namespace: int, port: str, address: str, cidr: str) -> None:
    """Join a pod's namespace to the node's, the current one. `port` names the link on the node's side."""
    with Netlink() as node:
        node.add_veth(port, "eth0", namespace)
        node.add_address(port, _NODE, 32)
        node.set_up(port)
        node.add_route(address, 32, link=port, source=node_address(cidr))
    with inside(namespace):
        with Netlink() as pod:
            pod.set_up("lo")
            pod.add_address("eth0", address, 32)
            pod.set_up("eth0")
            pod.add_route("0.0.0.0", 0, link="eth0", gateway=_NODE)
        _set("net/ipv4/ip_unprivileged_port_start", "0")


def _set(name: str, value: str) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/sys", name).write_text(value)
