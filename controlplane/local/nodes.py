"""Nodes whose containers run in namespaces, seen from outside: the way to their pods, and their end."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable
from pathlib import Path

from controlplane.kubelet.runtimes.namespaces.connection import end_node, node_socket

FABRIC = "fabric"


def node_folder(state_dir: Path, name: str) -> Path:
    """Where a node keeps its pods and logs."""
    return state_dir / "nodes" / name


def fabric_folder(state_dir: Path) -> Path:
    """What the nodes of a cluster share."""
    return state_dir / FABRIC


async def connect_to_pod(state_dir: Path, node: str, address: str, port: int) -> socket.socket:
    """A connection to a pod's port, whatever network the pod has. Raises OSError."""
    folder = node_folder(state_dir, node)
    try:
        made = node_socket(folder)
    except OSError:
        # No spawner: pods of that node have addresses of this machine.
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


def socket_in_nodes(
    state_dir: Path, nodes: Iterable[str], kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """A socket, non-blocking and not connected, of the network of the first of `nodes` that runs. Raises OSError."""
    for name in nodes:
        with contextlib.suppress(OSError):
            return node_socket(node_folder(state_dir, name), kind)
    raise OSError(errno.ENETUNREACH, "no node runs from which that is reached")


def end_nodes(state_dir: Path, names: Iterable[str]) -> None:
    """End these nodes with all they run; those that have nothing running are left alone."""
    for name in names:
        _end(node_folder(state_dir, name))


def end_fabric(state_dir: Path) -> None:
    """End what nodes shared, once they have ended."""
    _end(fabric_folder(state_dir))


def _end(folder: Path) -> None:
    if folder.is_dir():
        end_node(folder)
