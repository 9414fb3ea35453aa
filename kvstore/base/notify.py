"""systemd's readiness protocol: one datagram to the socket in NOTIFY_SOCKET (sd_notify(3))."""

import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Send `state`, such as `READY=1`; False if nobody asked for it. Raises OSError."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(state.encode())
    return True
