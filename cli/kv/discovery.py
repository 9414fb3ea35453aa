"""Endpoints from DNS: the SRV records `_etcd-client-ssl._tcp.<domain>` and `_etcd-client._tcp.<domain>`.

Python's library asks for no SRV records, so the question is put here: one UDP packet to the name servers of
/etc/resolv.conf, again over TCP if the answer was cut. Formats: RFC 1035 section 4, RFC 2782. With a service name the
record is `_etcd-client-<name>`, as etcdctl has it.
"""

import os
import secrets
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

_TYPE_SRV = 33
_CLASS_IN = 1
_TIMEOUT_SECONDS = 2.0
_POINTER = 0xC0
_MAX_JUMPS = 64


class DiscoveryError(Exception):
    """No endpoints were found."""


def discover(domain: str, name: str = "", *, takes_plain: bool = True) -> tuple[str, ...]:
    """Endpoints of `domain`: TLS ones first."""
    suffix = f"-{name}" if name else ""
    found: list[str] = []
    for service, scheme in (
        (f"etcd-client-ssl{suffix}", "https"),
        (f"etcd-client{suffix}", "http"),
    ):
        if scheme == "http" and not takes_plain:
            continue
        records = _lookup(f"_{service}._tcp.{domain}")
        found += [f"{scheme}://{host}:{port}" for _, _, port, host in sorted(records)]
    if not found:
        raise DiscoveryError(f"no SRV records of etcd clients for {domain}")
    return tuple(found)


def name_servers(text: str) -> list[tuple[str, int]]:
    """Addresses in the form of resolv.conf."""
    words = [line.split() for line in text.splitlines()]
    return [(one[1], 53) for one in words if len(one) > 1 and one[0] == "nameserver"]


def _lookup(name: str) -> list[tuple[int, int, int, str]]:
    # For tests: a name server of their own.
    named = os.environ.get("QUORATE_DNS", "")
    if named:
        host, _, port = named.rpartition(":")
        servers = [(host, int(port))]
    else:
        try:
            servers = name_servers(Path("/etc/resolv.conf").read_text())
        except OSError:
            servers = []
    for server in servers or [("127.0.0.1", 53)]:
        try:
            return ask(server, name)
        except OSError:
            continue
    return []


def ask(server: tuple[str, int], name: str) -> list[tuple[int, int, int, str]]:
    """SRV records of `name`: (priority, weight, port, host); OSError if the server does not answer."""
    number = secrets.randbits(16)
    question = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + _encoded(name)
    question += struct.pack(">2H", _TYPE_SRV, _CLASS_IN)
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(_TIMEOUT_SECONDS)
        udp.connect(server)
        udp.send(question)
        answer = udp.recv(65_535)
    if len(answer) >= 4 and answer[2] & 0x02:
        answer = _ask_tcp(server, question)
    return list(records(answer, number))


def _ask_tcp(server: tuple[str, int], question: bytes) -> bytes:
    with socket.create_connection(server, _TIMEOUT_SECONDS) as tcp:
        tcp.sendall(struct.pack(">H", len(question)) + question)
        stream = tcp.makefile("rb")
        (size,) = struct.unpack(">H", stream.read(2) or b"\0\0")
        return stream.read(size)


def _encoded(name: str) -> bytes:
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def records(answer: bytes, number: int) -> Iterable[tuple[int, int, int, str]]:
    """The SRV records of an answer to question `number`; OSError for one that is not well formed."""
    try:
        found, _, questions, answers, _, _ = struct.unpack_from(">6H", answer)
        if found != number:
            raise OSError("an answer to another question")
        at = 12
        for _ in range(questions):
            at = _name(answer, at)[1] + 4
        for _ in range(answers):
            at = _name(answer, at)[1]
            kind, _, _, size = struct.unpack_from(">2HIH", answer, at)
            at += 10
            if kind == _TYPE_SRV:
                priority, weight, port = struct.unpack_from(">3H", answer, at)
                yield priority, weight, port, _name(answer, at + 6)[0]
            at += size
    except (struct.error, IndexError, UnicodeError) as cause:
        raise OSError("an answer that is not well formed") from cause


def _name(answer: bytes, at: int) -> tuple[str, int]:
    """A name that may point back into the answer, and where the text behind it begins."""
    labels: list[str] = []
    end = 0
    for _ in range(_MAX_JUMPS):
        size = answer[at]
        if size & _POINTER == _POINTER:
            end = end or at + 2
            at = (size & ~_POINTER) << 8 | answer[at + 1]
            continue
        if size == 0:
            return ".".join(labels), end or at + 1
        labels.append(answer[at + 1 : at + 1 + size].decode("ascii"))
        at += 1 + size
    raise OSError("an answer whose names go in circles")
