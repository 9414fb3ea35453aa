"""A metrics address over TLS holds what the client port holds: revocations, versions, files that are replaced."""

import asyncio
import datetime
import shutil
import ssl
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kvstore.base.metrics import Metrics
from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.server.http import HttpServer
from kvstore.server.probes import Probes
from kvstore.service.cluster import ClusterService
from kvstore.wire.engine import Listen, ServerTls

NOW = datetime.datetime.now(datetime.UTC)
REQUEST = b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def revocations(authority: CertificateAuthority, revoked: Identity, file: Path) -> Path:
    key = serialization.load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    serial = x509.load_pem_x509_certificate(revoked.cert_file.read_bytes()).serial_number
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(authority.ca_file.read_bytes()).subject)
        .last_update(NOW)
        .next_update(NOW + datetime.timedelta(days=1))
        .add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
        )
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    return file


async def ask(address: Listen, who: Identity, version: ssl.TLSVersion | None = None) -> bytes:
    """The answer's first line and the serial of the certificate shown; empty if the connection is cut."""
    context = ssl.create_default_context(cafile=str(who.ca_file))
    context.load_cert_chain(who.cert_file, who.key_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if version is not None:
        context.maximum_version = version
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        serial = writer.get_extra_info("peercert")["serialNumber"]
        writer.write(REQUEST)
        line = await reader.readline()
        writer.close()
    except (OSError, ssl.SSLError):
        return b""
    return line.strip() + b" " + serial.encode() if line else b""


async def test_a_metrics_address_is_as_strict_as_the_client_port(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "pki", NOW)
    good, bad = (authority.identity(name, name) for name in ("good", "bad"))
    first, second = (
        authority.identity(name, name, hosts=["127.0.0.1"], server=True) for name in ("s1", "s2")
    )
    cert, key = tmp_path / "server.crt", tmp_path / "server.key"
    shutil.copy(first.cert_file, cert)
    shutil.copy(first.key_file, key)
    crl = revocations(authority, bad, tmp_path / "crl.pem")
    tls = ServerTls(cert, key, authority.ca_file, True, crl_file=crl, min_version="TLS1.3")
    probes = Probes(cast("ClusterService", None))
    http = HttpServer(probes, Metrics(), (Listen("127.0.0.1", 0, tls=tls),))
    [address] = await http.start()
    try:
        async with asyncio.timeout(20):
            before = await ask(address, good)
            assert before.startswith(b"HTTP/1.1 200 OK")
            assert await ask(address, bad) == b""
            assert await ask(address, good, ssl.TLSVersion.TLSv1_2) == b""
            shutil.copy(second.cert_file, cert)
            shutil.copy(second.key_file, key)
            after = await ask(address, good)
            assert after.startswith(b"HTTP/1.1 200 OK")
            assert after != before
    finally:
        await http.stop()
