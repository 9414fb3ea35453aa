"""Sockets of pods that share the node's network."""

import socket

from controlplane.kubelet.runtimes.interface import ContainerRuntimeError


def open_socket() -> socket.socket:
    """A TCP socket that does not block and is connected to nothing."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def listen(address: str, port: int) -> socket.socket:
    """A TCP socket that listens and does not block. Raises ContainerRuntimeError."""
    made = open_socket()
    try:
        made.bind((address, port))
        made.listen(128)
    except OSError as problem:
        made.close()
        raise ContainerRuntimeError(f"cannot listen at {address}:{port}: {problem}") from problem
    return made
