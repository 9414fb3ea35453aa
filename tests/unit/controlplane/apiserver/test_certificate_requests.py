"""A request for a certificate: the server notes who asks, a verdict is final, and a signer adds the certificate."""

import base64
import datetime
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.api.errors import Invalid
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import User
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS as REQUESTS,
)
from controlplane.testing.in_process import InProcessServer

JANE = User("jane", ("people",))


def _pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


PEM = _pem()


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


@pytest.fixture
async def asked(server: InProcessServer) -> Obj:
    spec = {
        "request": PEM,
        "signerName": "example.com/s",
        "usages": ["client auth"],
        "username": "evil",
        "groups": ["system:masters"],
    }
    return await server.client(JANE).create(REQUESTS, {"metadata": {"name": "r"}, "spec": spec})


def _with(obj: Obj, *conditions: Obj) -> Obj:
    return {**obj, "status": {"conditions": list(conditions)}}


def _condition(sort: str, **fields: str) -> Obj:
    return {"type": sort, "status": "True", "reason": "Because", **fields}


async def test_who_asks_is_what_the_server_knows(asked: Obj) -> None:
    assert asked["spec"]["username"] == "jane"
    assert asked["spec"]["groups"] == ["people", "system:authenticated"]
    assert asked["status"] == {}


async def test_a_plain_update_changes_neither_spec_nor_status(
    server: InProcessServer, asked: Obj
) -> None:
    changed = _with({**asked, "spec": {}}, _condition("Approved"))
    updated = await server.client().update(REQUESTS, changed)
    assert (updated["spec"], updated["status"]) == (asked["spec"], asked["status"])


async def test_a_verdict_has_its_times_and_is_final(server: InProcessServer, asked: Obj) -> None:
    client = server.client()
    wanted = _with({**asked, "spec": {}}, _condition("Approved"))
    decided = await client.update_subresource(REQUESTS, "r", "approval", wanted)
    (condition,) = decided["status"]["conditions"]
    assert condition["lastUpdateTime"]
    assert condition["lastTransitionTime"]
    assert decided["spec"] == asked["spec"]
    for conditions, why in (
        ((), 'Forbidden: updates may not remove a condition of type "Approved"'),
        (
            (_condition("Approved"), _condition("Denied")),
            "Approved and Denied conditions are mutually exclusive",
        ),
    ):
        with pytest.raises(Invalid, match=why):
            await client.update_subresource(REQUESTS, "r", "approval", _with(decided, *conditions))


async def test_a_verdict_belongs_to_its_subresource(server: InProcessServer, asked: Obj) -> None:
    with pytest.raises(Invalid, match='may not add a condition of type "Denied"'):
        await server.client().update_status(REQUESTS, _with(asked, _condition("Denied")))


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        pytest.param(_condition("Denied", status="False"), 'supported values: "True"', id="false"),
        pytest.param(_condition("Other", status="Maybe"), '"False", "True", "Unknown"', id="odd"),
        pytest.param(_condition(""), "type: Required value", id="untyped"),
    ],
)
async def test_conditions_that_are_refused(
    server: InProcessServer, asked: Obj, condition: Obj, why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        await server.client().update_subresource(REQUESTS, "r", "approval", _with(asked, condition))


async def test_a_certificate_is_set_once(server: InProcessServer, asked: Obj) -> None:
    client = server.client()

    def bearing(obj: Obj, certificate: bytes) -> Obj:
        return {**obj, "status": {"certificate": base64.b64encode(certificate).decode()}}

    with pytest.raises(Invalid, match="must contain at least one CERTIFICATE PEM block"):
        await client.update_status(REQUESTS, bearing(asked, b"nothing"))
    key = b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"
    with pytest.raises(Invalid, match='only CERTIFICATE PEM blocks are allowed, found "KEY"'):
        await client.update_status(REQUESTS, bearing(asked, key))
    issued = await client.update_status(REQUESTS, bearing(asked, _certificate()))
    with pytest.raises(Invalid, match="may not modify existing certificate content"):
        await client.update_status(REQUESTS, bearing(issued, _certificate()))


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


async def test_a_request_whose_signature_is_wrong_is_refused(server: InProcessServer) -> None:
    plain = base64.b64decode(PEM).decode()
    lines = plain.splitlines()
    body = bytearray(base64.b64decode("".join(lines[1:-1])))
    body[-1] ^= 1
    spoilt = "\n".join([lines[0], base64.b64encode(bytes(body)).decode(), lines[-1], ""])
    spec = {
        "request": base64.b64encode(spoilt.encode()).decode(),
        "signerName": "example.com/s",
        "usages": ["client auth"],
    }
    with pytest.raises(Invalid, match=r"spec\.request"):
        await server.client().create(REQUESTS, {"metadata": {"name": "r"}, "spec": spec})
