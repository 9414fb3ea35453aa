"""Questions for names of others: handed to the servers of a resolv.conf, the first that answers wins.

A server that does not answer in time is passed over for the next; an answer must come from the server that was asked
and carry the question's number. Source of the file's form: resolv.conf(5).
"""

import asyncio
import ipaddress
import struct
from collections.abc import Sequence

from controlplane.dns.server import Unreachable

_TIMEOUT_SECONDS = 2.0
_PORT = 53


def nameservers(text: str) -> list[str]:
    """The addresses of a resolv.conf, in order; addresses that are none are left out."""
    found = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(words[1].partition("%")[0])))
            except ValueError:
                continue
    return found


class Upstream:
    """Asks other servers."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._servers = tuple(servers)
        self._timeout_seconds = timeout_seconds

    async def ask(self, question: bytes) -> bytes:
        """The answer of the first server that gives one; Unreachable when none does."""
        problems = []
        for host, port in self._servers:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await _by_udp(host, port, question)
                    if _is_cut(answer):
                        answer = await _by_tcp(host, port, question)
                    return answer
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                problems.append(f"{host}: {type(error).__name__}")
        raise Unreachable("; ".join(problems) or "no upstream server is known")


def _is_cut(answer: bytes) -> bool:
    return bool(answer[2] & 0x02)


async def _by_udp(host: str, port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _One(question[:2], done), remote_addr=(host, port)
    )
    try:
        transport.sendto(question)
        return await done
    finally:
        transport.close()


async def _by_tcp(host: str, port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(struct.pack("!H", len(question)) + question)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


class _One(asyncio.DatagramProtocol):
    """Waits for the answer with one number."""

    def __init__(self, number: bytes, done: "asyncio.Future[bytes]") -> None:
        self._number = number
        self._done = done

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Take the answer; anything else is not for us."""
        if len(data) >= 12 and data[:2] == self._number and not self._done.done():
            self._done.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self._done.done():
            self._done.set_exception(exc)
