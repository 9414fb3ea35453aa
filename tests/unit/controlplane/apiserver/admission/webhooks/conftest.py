"""A webhook of the tests: a TLS server on loopback that answers what it is told and remembers what it was asked."""

import asyncio
import base64
import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import User
from controlplane.client.rest import RestClient
from controlplane.testing.in_process import InProcessServer

SERVICE_NAME = "hook.default.svc"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate in one file: for loopback, and for the Service of the tests."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook")])
    now = datetime.datetime.now(datetime.UTC)
    names = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName(SERVICE_NAME),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("hook") / "hook.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def review(request: Obj, **response: Any) -> web.Response:
    """An AdmissionReview that answers `request`."""
    version = request["apiVersion"]
    content = {"uid": request["request"]["uid"], "allowed": True, **response}
    return web.json_response(
        {"apiVersion": version, "kind": "AdmissionReview", "response": content}
    )


def patching(*operations: Obj) -> Obj:
    """The part of a response that patches."""
    encoded = base64.b64encode(json.dumps(list(operations)).encode()).decode()
    return {"patch": encoded, "patchType": "JSONPatch"}


Answer = Callable[[Obj], web.Response]


class HookServer:
    """Paths with answers; `asked` are the reviews in order, `never` a gate that a slow answer waits for."""

    def __init__(self, certificate: Path) -> None:
        self.bundle = base64.b64encode(certificate.read_bytes()).decode()
        self.asked: list[tuple[str, Obj]] = []
        self.answers: dict[str, Answer] = {}
        self.never = asyncio.Event()
        self.slow: set[str] = set()
        self.port = 0

    def requests(self, path: str) -> list[Obj]:
        """What was asked under a path."""
        return [body["request"] for where, body in self.asked if where == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append((request.path, body))
        if request.path in self.slow:
            await self.never.wait()
        answer = self.answers.get(request.path)
        return review(body) if answer is None else answer(body)

    def by_url(self, path: str) -> Obj:
        """The client configuration for a path."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle}


@pytest.fixture
async def hook(certificate: Path) -> AsyncIterator[HookServer]:
    server = HookServer(certificate)
    application = web.Application()
    application.router.add_post("/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    yield server
    server.never.set()
    await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


@pytest.fixture
def client(server: InProcessServer) -> RestClient:
    return server.client(User("u", ("system:masters",)))
