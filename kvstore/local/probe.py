"""The smallest HTTP client that can tell whether a health endpoint says 200."""

import asyncio
import contextlib
import socket
import ssl


async def http_get(
    host: str,
    port: int,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    timeout_seconds: float = 1.0,
    connected: socket.socket | None = None,
) -> tuple[int, bytes]:
    """GET over a connection of its own: (status, body up to 1 MiB). Raises OSError, TimeoutError or ValueError.

    `connected` is a connection to the place that was made by another way; it is closed afterwards.
    """
    async with asyncio.timeout(timeout_seconds):
        if connected is None:
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        else:
            reader, writer = await asyncio.open_connection(sock=connected)
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(1 << 20)
        except asyncio.IncompleteReadError as error:
            raise ValueError("not an HTTP answer") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.TimeoutError):
                await writer.wait_closed()
    parts = head.split(b" ", 2)
    return int(parts[1]), body


async def is_healthy(
    host: str,
    port: int,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    timeout_seconds: float = 1.0,
) -> bool:
    """Whether GET answers 200; False on any failure."""
    try:
        status, _ = await http_get(host, port, path, tls=tls, timeout_seconds=timeout_seconds)
    except (OSError, TimeoutError, ValueError):
        return False
    return status == 200
