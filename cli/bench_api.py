"""The load generator of `quorate bench api`: raw HTTP/1.1 over TLS, a connection a client, requests made beforehand.

It is cheap so that the server is what is measured: an answer is looked into for its status and its end, no further.
"""

import asyncio
import base64
import json
import os
import random
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

WORKLOADS = ("get", "list", "create", "patch", "mixed")
LISTED = 500
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Target:
    """An API server and who asks."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    token: str = ""

    def request(
        self, method: str, path: str, body: bytes = b"", media: str = "application/json"
    ) -> bytes:
        """A whole request as bytes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines.append("Accept: application/json")
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if body:
            lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _named(rows: list[dict[str, Any]], name: str, key: str) -> dict[str, Any]:
    return next((row.get(key) or {} for row in rows if row.get("name") == name), {})


def _pem(section: dict[str, Any], key: str, directory: Path) -> str:
    """The file that holds what the kubeconfig gives by file or in itself; "" when it gives nothing."""
    if section.get(key):
        return str(section[key])
    if not section.get(f"{key}-data"):
        return ""
    handle, name = tempfile.mkstemp(dir=directory)
    os.write(handle, base64.b64decode(section[f"{key}-data"]))
    os.close(handle)
    return name


def target_of(kubeconfig: Path) -> Target:
    """The server of the current context. Raises ValueError when there is none."""
    document = yaml.safe_load(kubeconfig.read_text()) or {}
    context = _named(document.get("contexts") or [], document.get("current-context", ""), "context")
    cluster = _named(document.get("clusters") or [], context.get("cluster", ""), "cluster")
    user = _named(document.get("users") or [], context.get("user", ""), "user")
    address = urlsplit(str(cluster.get("server", "")))
    if not address.hostname:
        raise ValueError(f"{kubeconfig}: no server in the current context")
    tls = None
    if address.scheme == "https":
        with tempfile.TemporaryDirectory() as directory:
            authority = _pem(cluster, "certificate-authority", Path(directory))
            tls = ssl.create_default_context(cafile=authority or None)
            if cluster.get("insecure-skip-tls-verify"):
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            certificate = _pem(user, "client-certificate", Path(directory))
            if certificate:
                tls.load_cert_chain(certificate, _pem(user, "client-key", Path(directory)))
    return Target(address.hostname, address.port or 443, tls, str(user.get("token") or ""))


@dataclass(slots=True)
class Figures:
    """What came of one measurement; latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""
    seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    load_cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def at(self, share: float) -> float:
        """The latency below which that share of them lies; 0 for none."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    @property
    def cpu_micros(self) -> float:
        """CPU of the server's processes a request, in µs."""
        count = len(self.latencies)
        return 1e6 * self.server_cpu_seconds / count if count else 0.0


class _Client(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = -1
        self._is_chunked = False
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._on_answer: Callable[[int], None] | None = None
        self._on_lines: Callable[[int], None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server hung up"))

    def send(self, request: bytes) -> None:
        """Put a request on the way."""
        assert self.transport is not None
        self.transport.write(request)

    def loop_with(self, on_answer: Callable[[int], None]) -> None:
        """From now on call `on_answer` with each answer's status."""
        self._on_answer = on_answer

    def watch(self, request: bytes, on_lines: Callable[[int], None]) -> None:
        """From now on call `on_lines` with the number of events that came."""
        self._on_lines = on_lines
        self.send(request)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """One request, its status and its answer with the head. Raises ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        self.send(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._on_lines is not None:
            self._on_lines(data.count(b'{"type":"MODIFIED"'))
            return
        buffer = self._buffer
        buffer += data
        if self._needed < 0 and not self._is_chunked:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(buffer[:end]).lower()
            at = head.find(b"content-length:")
            if at >= 0:
                self._needed = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            else:
                self._is_chunked = True
        is_whole = (
            buffer.endswith(b"0\r\n\r\n") if self._is_chunked else len(buffer) >= self._needed
        )
        if not is_whole:
            return
        status, answer = int(buffer[9:12]), b""
        if self._answer is not None:
            answer = bytes(buffer)
        buffer.clear()
        self._needed, self._is_chunked = -1, False
        if self._on_answer is not None:
            self._on_answer(status)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result((status, answer))


async def _connect(target: Target) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(_Client, target.host, target.port, ssl=target.tls)
    return client


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of those processes so far."""
    ticks = 0
    for pid in pids:
        row = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(row[11]) + int(row[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _config_map(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"key": "v" * 256, "other": "w" * 256},
    }


class Bench:
    """Workloads on one API server, in a namespace of its own."""

    def __init__(self, target: Target, pids: list[int], seed: int = 1) -> None:
        self._target = target
        self._pids = pids
        self._random = random.Random(seed)
        self._namespace = f"bench-{os.getpid()}-{random.randrange(1 << 32):08x}"
        self._base = f"/api/v1/namespaces/{self._namespace}"
        self._created = 0

    async def __aenter__(self) -> "Bench":
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self._namespace},
        }
        self._client = await _connect(self._target)
        await self._must("POST", "/api/v1/namespaces", namespace)
        for number in range(LISTED):
            await self._must("POST", f"{self._base}/configmaps", _config_map(f"c{number}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        path = f"/api/v1/namespaces/{self._namespace}"
        await self._client.ask(self._target.request("DELETE", path))
        assert self._client.transport is not None
        self._client.transport.close()

    async def _must(self, method: str, path: str, body: dict[str, Any]) -> None:
        request = self._target.request(method, path, json.dumps(body).encode())
        status, answer = await self._client.ask(request)
        if status >= 300:
            text = answer.partition(b"\r\n\r\n")[2].decode(errors="replace")
            raise ValueError(f"{method} {path}: {status} {text[:200]}")

    def _request(self, workload: str) -> bytes:
        ask, path = self._target.request, f"{self._base}/configmaps"
        if workload == "mixed":
            workload = self._random.choice(("get",) * 6 + ("patch",) * 2 + ("create", "list"))
        if workload == "list":
            return ask("GET", path)
        if workload == "create":
            self._created += 1
            where = f"{self._base}/secrets"
            body = _config_map(f"n{self._created}") | {"kind": "Secret"}
            body["stringData"] = body.pop("data")
            return ask("POST", where, json.dumps(body).encode())
        one = f"{path}/c{self._random.randrange(LISTED)}"
        if workload == "get":
            return ask("GET", one)
        value = self._random.randrange(1 << 30)
        return ask("PATCH", one, b'{"data":{"key":"%d"}}' % value, _MERGE)

    async def run(self, workload: str, clients: int, seconds: float) -> Figures:
        """That many clients, each with one request under way, for so long after a short warm-up."""
        loop = asyncio.get_running_loop()
        figures, counts, is_over = Figures(), [False], [False]

        def start(client: _Client) -> None:
            sent = [loop.time()]
            client.send(self._request(workload))

            def answered(status: int) -> None:
                now = loop.time()
                if counts[0]:
                    if status < 300:
                        figures.latencies.append(now - sent[0])
                    else:
                        figures.errors += 1
                        figures.first_error = figures.first_error or f"status {status}"
                if not is_over[0]:
                    sent[0] = now
                    client.send(self._request(workload))

            client.loop_with(answered)

        connected = [await _connect(self._target) for _ in range(clients)]
        for client in connected:
            start(client)
        await asyncio.sleep(min(0.5, seconds))
        began, cpu, own = loop.time(), cpu_seconds(self._pids), cpu_seconds([os.getpid()])
        counts[0] = True
        await asyncio.sleep(seconds)
        counts[0], is_over[0] = False, True
        figures.seconds = loop.time() - began
        figures.server_cpu_seconds = cpu_seconds(self._pids) - cpu
        figures.load_cpu_seconds = cpu_seconds([os.getpid()]) - own
        await asyncio.sleep(0.2)
        for client in connected:
            assert client.transport is not None
            client.transport.close()
        return figures

    async def watch(self, watchers: int, seconds: float, rate: int = 10) -> Figures:
        """That many watches while an object is changed `rate` times a second; a latency an event and watcher."""
        loop = asyncio.get_running_loop()
        figures, sent = Figures(), [0.0]

        def came(count: int) -> None:
            if count:
                figures.latencies += [loop.time() - sent[0]] * count

        path = f"{self._base}/configmaps?watch=true&fieldSelector=metadata.name%3Dc0"
        connected = [await _connect(self._target) for _ in range(watchers)]
        for client in connected:
            client.watch(self._target.request("GET", path), came)
        await asyncio.sleep(1 + watchers / 1000)
        began, cpu, own = loop.time(), cpu_seconds(self._pids), cpu_seconds([os.getpid()])
        for number in range(int(seconds * rate)):
            body = b'{"data":{"key":"%d"}}' % number
            sent[0] = loop.time()
            await self._client.ask(
                self._target.request("PATCH", f"{self._base}/configmaps/c0", body, _MERGE)
            )
            await asyncio.sleep(max(0.0, sent[0] + 1 / rate - loop.time()))
        figures.seconds = loop.time() - began
        figures.server_cpu_seconds = cpu_seconds(self._pids) - cpu
        figures.load_cpu_seconds = cpu_seconds([os.getpid()]) - own
        for client in connected:
            assert client.transport is not None
            client.transport.close()
        figures.errors = max(0, watchers * int(seconds * rate) - len(figures.latencies))
        return figures
