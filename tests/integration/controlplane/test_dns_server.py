"""Questions over real sockets: UDP, TCP, cut answers, aliases, names of others, floods of garbage."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSQuestion, DNSRecord

from controlplane.dns.server import DnsServer, Unreachable
from controlplane.dns.upstream import Upstream, nameservers
from controlplane.dns.zone import Zone

S = "svc.cluster.local"


def zone_of(count: int) -> Zone:
    zone = Zone()
    spec = {"clusterIP": "None", "clusterIPs": ["None"]}
    zone.put_service({"metadata": {"name": "many", "namespace": "default"}, "spec": spec})
    endpoints = [{"addresses": [f"10.244.{n // 250}.{n % 250}"]} for n in range(count)]
    labels = {"kubernetes.io/service-name": "many"}
    zone.put_slice(
        {
            "metadata": {"name": "many-1", "namespace": "default", "labels": labels},
            "endpoints": endpoints,
        }
    )
    alias = {"type": "ExternalName", "externalName": f"many.default.{S}"}
    zone.put_service({"metadata": {"name": "alias", "namespace": "default"}, "spec": alias})
    return zone


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.answers.put_nowait(data)


async def ask(port: int, name: str, kind: str = "A") -> DNSRecord:
    return DNSRecord.parse(await send(port, DNSRecord.question(name, kind).pack()))


async def send(port: int, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(data)
        async with asyncio.timeout(5):
            return await client.answers.get()
    finally:
        transport.close()


async def ask_tcp(port: int, name: str) -> DNSRecord:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = DNSRecord.question(name, "A").pack()
    # In two pieces, as a network may bring it.
    writer.write(struct.pack("!H", len(data)) + data[:5])
    await writer.drain()
    writer.write(data[5:])
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    answer = DNSRecord.parse(await reader.readexactly(length))
    writer.close()
    return answer


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    made = DnsServer(zone_of(3))
    await made.start("127.0.0.1", 0)
    yield made
    await made.stop()


async def test_a_name_is_answered_with_authority(server: DnsServer) -> None:
    answer = await ask(server.port, f"many.default.{S}")
    assert (answer.header.aa, answer.header.rcode) == (1, RCODE.NOERROR)
    assert [str(row.rdata) for row in answer.rr] == ["10.244.0.0", "10.244.0.1", "10.244.0.2"]


async def test_an_alias_brings_what_it_leads_to(server: DnsServer) -> None:
    answer = await ask(server.port, f"alias.default.{S}")
    assert [QTYPE.get(row.rtype) for row in answer.rr] == ["CNAME", "A", "A", "A"]


async def test_a_name_without_such_a_record_is_no_missing_name(server: DnsServer) -> None:
    answer = await ask(server.port, f"many.default.{S}", "AAAA")
    assert (answer.header.rcode, answer.rr, QTYPE.get(answer.auth[0].rtype)) == (0, [], "SOA")
    answer = await ask(server.port, f"nope.default.{S}")
    assert answer.header.rcode == RCODE.NXDOMAIN


async def test_names_of_others_are_refused_at_once_where_nobody_can_be_asked(
    server: DnsServer,
) -> None:
    answer = await ask(server.port, "example.com")
    assert answer.header.rcode == RCODE.SERVFAIL


async def test_a_large_answer_is_cut_and_whole_by_tcp() -> None:
    server = DnsServer(zone_of(200))
    await server.start("127.0.0.1", 0)
    try:
        answer = await ask(server.port, f"many.default.{S}")
        assert (answer.header.tc, answer.rr) == (1, [])
        whole = await ask_tcp(server.port, f"many.default.{S}")
        assert (whole.header.tc, len(whole.rr)) == (0, 200)
    finally:
        await server.stop()


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 12, b"\0" * 12, b"x" * 600])
async def test_garbage_is_passed_over(server: DnsServer, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        Client, remote_addr=("127.0.0.1", server.port)
    )
    transport.sendto(data)
    transport.close()
    assert (await ask(server.port, f"many.default.{S}")).rr


async def test_names_of_others_are_asked_upstream() -> None:
    def answered(data: bytes) -> bytes:
        record = DNSRecord.parse(data)
        reply = record.reply(aa=0, ra=1)
        reply.add_answer(RR(record.q.qname, QTYPE.A, ttl=5, rdata=A("192.0.2.1")))
        return bytes(reply.pack())

    class Other(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            # A lie with another number first: it must not be believed.
            self.transport.sendto(b"\0\0" + answered(data)[2:], addr)
            self.transport.sendto(answered(data), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Other, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    # The first of the two is silent.
    silent, _ = await loop.create_datagram_endpoint(Client, local_addr=("127.0.0.1", 0))
    dead = silent.get_extra_info("sockname")[1]
    upstream = Upstream([("127.0.0.1", dead), ("127.0.0.1", port)], timeout_seconds=0.2)
    server = DnsServer(Zone(), upstream.ask)
    await server.start("127.0.0.1", 0)
    try:
        question = DNSRecord(q=DNSQuestion("example.com", QTYPE.A))
        question.header.id = 4711
        answer = DNSRecord.parse(await send(server.port, question.pack()))
        assert (answer.header.id, str(answer.rr[0].rdata)) == (4711, "192.0.2.1")
    finally:
        await server.stop()
        transport.close()
        silent.close()


async def test_an_upstream_that_is_not_there_is_named() -> None:
    with pytest.raises(Unreachable, match="no upstream"):
        await Upstream([]).ask(b"\0" * 12)


def test_the_servers_of_a_resolv_conf_are_read() -> None:
    text = "# nameserver 1.1.1.1\nsearch a.b\nnameserver 10.0.0.1 ; x\nnameserver fe80::1%eth0\nnameserver nope\n"
    assert nameservers(text) == ["10.0.0.1", "fe80::1"]


async def test_what_is_remembered_has_the_questions_number_and_ends_with_a_change() -> None:
    zone = zone_of(3)
    made = DnsServer(zone)
    await made.start("127.0.0.1", 0)
    try:
        question = DNSRecord.question(f"many.default.{S}", "A")
        answers = []
        for number in (7, 8):
            question.header.id = number
            answers.append(DNSRecord.parse(await send(made.port, question.pack())))
        assert [one.header.id for one in answers] == [7, 8]
        assert [len(one.rr) for one in answers] == [3, 3]
        (part,) = zone_of(1)._slices["default", "many"].values()
        zone.put_slice(part)
        changed = DNSRecord.parse(await send(made.port, question.pack()))
        assert [str(row.rdata) for row in changed.rr] == ["10.244.0.0"]
        assert made.questions == 3
    finally:
        await made.stop()


async def test_many_different_questions_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controlplane.dns.server.MAX_REMEMBERED", 4)
    made = DnsServer(zone_of(1))
    sent: list[bytes] = []
    for number in range(20):
        made.datagram(bytes(DNSRecord.question(f"n{number}.{S}", "A").pack()), sent.append)
        assert len(made._remembered) <= 4
    assert len(sent) == 20
