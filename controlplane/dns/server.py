"""DNS over UDP and TCP: questions in, the zone's answers out. Messages are dnslib's.

An answer that does not fit into the datagram the client can take is cut and marked, so that the client asks again by
TCP. A question for a name of others goes to the upstream servers where there are any; else it is refused at once with
SERVFAIL, so that a resolver does not wait. A message that is no question is dropped.

Answers of the zone by UDP are remembered as bytes until the zone changes, by all of the question but its number: most
questions are asked again and again, and taking messages apart is most of the work.

Bounds: `MAX_REMEMBERED` answers, `MAX_FORWARDS` questions to others at a time (more are refused), `MAX_CONNECTIONS` TCP
connections, 65,535 bytes a message, `IDLE_SECONDS` of silence on a connection.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from dnslib import (
    AAAA,
    CLASS,
    CNAME,
    EDNS0,
    PTR,
    QTYPE,
    RCODE,
    RR,
    SOA,
    SRV,
    TXT,
    A,
    DNSError,
    DNSRecord,
)

from controlplane.dns.zone import Answer, Record, Zone
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)

Forward = Callable[[bytes], Awaitable[bytes]]

TTL_SECONDS = 30
MAX_REMEMBERED = 4096
MAX_FORWARDS = 256
MAX_CONNECTIONS = 256
IDLE_SECONDS = 10.0
_PLAIN_UDP_BYTES = 512
_MOST_UDP_BYTES = 4096
# How many names a chain of aliases may have before it is taken for a circle.
_MOST_ALIASES = 8


class Unreachable(Exception):
    """No server has answered."""


class DnsServer:
    """Answers at one address, by UDP and TCP on the same port."""

    def __init__(self, zone: Zone, forward: Forward | None = None) -> None:
        self._zone = zone
        self._forward = forward
        self._remembered: dict[bytes, bytes] = {}
        self._remembered_of = -1
        self._forwards = 0
        self._connections = 0
        self._supervisor = Supervisor("dns")
        self._transport: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self.port = 0
        self.questions = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; `port=0` takes one that is free for both protocols, told by `port`."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._connected, host, port, backlog=64)
        self.port = int(self._tcp.sockets[0].getsockname()[1])
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(host, self.port)
        )

    async def stop(self) -> None:
        """Stop listening; questions under way are dropped."""
        if self._transport is not None:
            self._transport.close()
        if self._tcp is not None:
            self._tcp.close()
        await self._supervisor.stop(1.0)

    def datagram(self, data: bytes, send: Callable[[bytes], None]) -> None:
        """One question by UDP."""
        if self._remembered_of != self._zone.version:
            self._remembered.clear()
            self._remembered_of = self._zone.version
        known = self._remembered.get(data[2:])
        if known is not None:
            self.questions += 1
            send(data[:2] + known)
            return
        question = _parsed(data)
        if question is None:
            return
        self.questions += 1
        limit = _datagram_limit(question)
        reply = self._local(question)
        if reply is not None:
            packed = _packed(reply, limit)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[data[2:]] = packed[2:]
            send(packed)
            return
        self._supervisor.start(self._forwarded(question, data, limit, send), "forward")

    async def _forwarded(
        self, question: DNSRecord, data: bytes, limit: int, send: Callable[[bytes], None]
    ) -> None:
        reply = await self._ask_others(question, data)
        if len(reply) > limit:
            cut = DNSRecord.parse(reply)
            cut.rr, cut.auth, cut.header.tc = [], [], 1
            reply = cut.pack()
        send(reply)

    async def message(self, data: bytes) -> bytes | None:
        """One question by TCP; None for what is no question."""
        question = _parsed(data)
        if question is None:
            return None
        self.questions += 1
        reply = self._local(question)
        if reply is not None:
            return bytes(reply.pack())
        return await self._ask_others(question, data)

    async def _ask_others(self, question: DNSRecord, data: bytes) -> bytes:
        if self._forward is not None and self._forwards < MAX_FORWARDS:
            self._forwards += 1
            try:
                return await self._forward(data)
            except Unreachable as error:
                log.debug("no upstream answers", error=str(error))
            finally:
                self._forwards -= 1
        reply = question.reply(ra=self._forward is not None, aa=0)
        reply.header.rcode = RCODE.SERVFAIL
        return bytes(reply.pack())

    def _local(self, question: DNSRecord) -> DNSRecord | None:
        """The zone's own answer; None when the name is not the zone's."""
        asked = question.q
        name, kind = str(asked.qname), _type_name(asked.qtype)
        if asked.qclass not in (CLASS.IN, 255):
            reply = question.reply(ra=1, aa=0)
            reply.header.rcode = RCODE.REFUSED
            return reply
        found = self._zone.answer(name, kind)
        if not found.is_ours:
            return None
        reply = question.reply(ra=int(self._forward is not None), aa=1)
        records = self._resolved(found, kind)
        for record in records:
            reply.add_answer(_row(record))
        for record in found.extra:
            reply.add_ar(_row(record))
        if not records:
            if not found.exists:
                reply.header.rcode = RCODE.NXDOMAIN
            reply.add_auth(_authority(self._zone))
        if question.ar and any(one.rtype == QTYPE.OPT for one in question.ar):
            reply.add_ar(EDNS0(udp_len=_MOST_UDP_BYTES))
        return reply

    def _resolved(self, found: Answer, kind: str) -> list[Record]:
        """The records, and behind an alias within the zone what it leads to."""
        records = list(found.records)
        for _ in range(_MOST_ALIASES):
            last = records[-1] if records else None
            if last is None or last.kind != "CNAME" or kind == "CNAME":
                return records
            more = self._zone.answer(str(last.data), kind)
            if not more.records:
                return records
            records += more.records
        return records

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                reply = await self.message(data)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._connections -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go out."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer one question."""
        self._server.datagram(data, lambda reply: self._transport.sendto(reply, addr))


def _parsed(data: bytes) -> DNSRecord | None:
    """The question; None for what is none: an answer, garbage, or not exactly one question."""
    try:
        record = DNSRecord.parse(data)
    except (DNSError, ValueError, IndexError, struct.error):
        return None
    return record if record.header.qr == 0 and len(record.questions) == 1 else None


@lru_cache(maxsize=64)
def _type_name(number: int) -> str:
    try:
        return str(QTYPE.get(number))
    except DNSError:
        return "UNKNOWN"


def _datagram_limit(question: DNSRecord) -> int:
    for one in question.ar:
        if one.rtype == QTYPE.OPT:
            return min(max(int(one.edns_len), _PLAIN_UDP_BYTES), _MOST_UDP_BYTES)
    return _PLAIN_UDP_BYTES


def _packed(reply: DNSRecord, limit: int) -> bytes:
    data = bytes(reply.pack())
    if len(data) <= limit:
        return data
    reply.rr, reply.auth = [], []
    reply.ar = [one for one in reply.ar if one.rtype == QTYPE.OPT]
    reply.header.tc = 1
    return bytes(reply.pack())


_DATA: dict[str, Callable[[Any], Any]] = {
    "A": A,
    "AAAA": AAAA,
    "CNAME": CNAME,
    "PTR": PTR,
    "TXT": TXT,
    "SRV": lambda data: SRV(*data),
}


def _row(record: Record) -> RR:
    kind = getattr(QTYPE, record.kind)
    return RR(record.name, kind, ttl=TTL_SECONDS, rdata=_DATA[record.kind](record.data))


def _authority(zone: Zone) -> RR:
    """The SOA beside an empty answer: how long it may be remembered that there is nothing."""
    times = (zone.version & 0xFFFFFFFF, 7200, 1800, 86400, TTL_SECONDS)
    data = SOA(f"ns.dns.{zone.domain}", f"hostmaster.{zone.domain}", times)
    return RR(zone.domain, QTYPE.SOA, ttl=TTL_SECONDS, rdata=data)
