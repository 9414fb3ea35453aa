"""Sockets towards endpoints: made in the network of the node they run on, or on the machine where nodes have none."""

import socket
from collections.abc import Iterable
from pathlib import Path

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.node import MACHINE_ADDRESS
from controlplane.local.nodes import socket_in_nodes
from controlplane.proxy.frontends import Backend, Frontend
from controlplane.proxy.userspace import own_network


async def open_socket(
    state_dir: Path,
    nodes: Iterable[Obj],
    frontend: Frontend,
    backend: Backend,
    kind: socket.SocketKind,
) -> socket.socket:
    """A socket for `backend`, non-blocking and not connected.

    Raises OSError when no node runs from which it is reached.
    """
    preferred, known = frontend.via or backend.node, list(nodes)
    mine = [one for one in known if not preferred or meta.name(one) == preferred]
    names = [meta.name(one) for one in mine if MACHINE_ADDRESS in meta.annotations(one)]
    if names or not mine:
        # Never from the machine's own network, where such an address may mean somebody else.
        return socket_in_nodes(state_dir, names, kind)
    return await own_network(frontend, backend, kind)
