"""TLS by the name that a client asks for: contexts of Secrets, and one for names without any."""

import base64
import binascii
import datetime
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controlplane.api.meta import Obj

_PLACEHOLDER = "Quorate Ingress Placeholder Certificate"
_DAYS = 3650

Key = tuple[str, str]
"""Namespace and name of a Secret."""


class BadCertificate(Exception):
    """A Secret that cannot serve: it says why."""


class Certificates:
    """The contexts of Secrets, made anew only when a Secret's contents change."""

    def __init__(self, now: datetime.datetime) -> None:
        self._made: dict[Key, tuple[tuple[str, str], ssl.SSLContext]] = {}
        self._lead: Callable[[str], Key | None] = lambda name: None
        self.context = _context(*_placeholder(now))
        """For listeners: it chooses by the client's name."""
        self.context.sni_callback = self._choose

    def update(
        self, secrets: Mapping[Key, Obj], lead: Callable[[str], Key | None]
    ) -> dict[Key, str]:
        """Serve with these; `lead` names the Secret for a host. What is wrong with which is returned."""
        problems: dict[Key, str] = {}
        made: dict[Key, tuple[tuple[str, str], ssl.SSLContext]] = {}
        for key, secret in secrets.items():
            data = secret.get("data") or {}
            contents = (str(data.get("tls.crt") or ""), str(data.get("tls.key") or ""))
            known = self._made.get(key)
            if known is not None and known[0] == contents:
                made[key] = known
                continue
            try:
                made[key] = (contents, _from_secret(*contents))
            except BadCertificate as problem:
                problems[key] = str(problem)
        self._made, self._lead = made, lead
        return problems

    def _choose(
        self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> int | None:
        key = self._lead(name or "")
        if key is not None and key in self._made:
            connection.context = self._made[key][1]
        return None


def _from_secret(certificate: str, key: str) -> ssl.SSLContext:
    try:
        return _context(
            base64.b64decode(certificate, validate=True), base64.b64decode(key, validate=True)
        )
    except (binascii.Error, ssl.SSLError, ValueError) as problem:
        raise BadCertificate(f"tls.crt and tls.key do not make a certificate: {problem}") from None


def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    # Python reads certificates from files alone; nobody else may read this one, and it is gone at once.
    with tempfile.TemporaryDirectory(prefix="quorate-ingress-") as folder:
        path = Path(folder, "pair.pem")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(path)
    return context


def _placeholder(now: datetime.datetime) -> tuple[bytes, bytes]:
    """Signed by itself, for names nobody has a certificate for: a client sees whom it has reached."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _PLACEHOLDER)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
