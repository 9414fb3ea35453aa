"""Addresses of a local cluster: of nodes, masters and balancers, in the pods' network and on the machine. Pure."""

import ipaddress

from controlplane.local.settings import ClusterSettings, NodeSettings

API_SERVICE = ("10.96.0.1", 443)
"""Where pods with networks of their own reach the API servers: the first address of Services."""
DNS_SERVICE = ("10.96.0.10", 53)
"""Where such pods ask for names."""
MASTERS_NETWORK = ipaddress.ip_network("10.97.0.0/24")
"""Where pods reach each API server by itself: an address a master beside those of Services, the server's own port."""
BALANCER_USER = "quorate:balancer"
BALANCER_HEALTH_PORT = 10256


def node_ip(node: NodeSettings) -> str:
    """The node's own address: the first of its network."""
    return str(ipaddress.ip_network(node.pod_cidr)[1])


def balancer_pool(settings: ClusterSettings) -> ipaddress.IPv4Network:
    """The addresses of balancers: the last network beside the first node's that no node has. Needs a node."""
    first = ipaddress.IPv4Network(settings.nodes[0].pod_cidr)
    taken = {node.pod_cidr for node in settings.nodes}
    base = int(first.network_address) & 0xFFFF0000
    candidates = (ipaddress.IPv4Network((base | (low << 8), 24)) for low in range(255, -1, -1))
    return next(one for one in candidates if str(one) not in taken)


def balancer_health(settings: ClusterSettings) -> tuple[str, int]:
    """Where the balancer says how it is: an address of its own, so that any port is free."""
    return str(balancer_pool(settings)[1]), BALANCER_HEALTH_PORT
