"""Sockets towards endpoints: made in the network of the node they run on, or on the machine where nodes have none."""

import socket
from collections.abc import Iterable
from pathlib import Path

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.node import MACHINE_ADDRESS
from controlplane.local.nodes import socket_in_nodes


def make_socket(
    state_dir: Path, nodes: Iterable[Obj], preferred: str, kind: socket.SocketKind
) -> socket.socket:
    """A socket, non-blocking and not connected, of the node `preferred`, or of any that runs with "".

    Raises OSError when no node runs from which endpoints are reached.
    """
    known = list(nodes)
    mine = [one for one in known if not preferred or meta.name(one) == preferred]
    names = [meta.name(one) for one in mine if MACHINE_ADDRESS in meta.annotations(one)]
    if names or (preferred and not mine):
        # Never from the machine's own network, where such an address may mean somebody else.
        return socket_in_nodes(state_dir, names, kind)
    made = socket.socket(socket.AF_INET, kind)
    made.setblocking(False)
    return made
