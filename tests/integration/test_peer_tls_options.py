"""Peer certificates: replaced on disk they are used from the next connection on; revoked or misnamed ones are not."""

import asyncio
import datetime
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.raft.pysync.peer_tls import PeerContexts
from kvstore.raft.replicator import PeerTls

NOW = datetime.datetime.now(datetime.UTC)


def identity(authority: CertificateAuthority, name: str) -> Identity:
    return authority.identity(name, name, hosts=["127.0.0.1"], server=True)


def options(one: Identity, **more: object) -> PeerTls:
    return PeerTls(one.cert_file, one.key_file, one.ca_file, **more)  # type: ignore[arg-type]


async def shown(server: PeerContexts, client: PeerContexts) -> tuple[str, str]:
    """What each side knows of the other: (serial the client saw, common name the server accepted)."""
    accepted: asyncio.Queue[object] = asyncio.Queue()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        await accepted.put(server.refusal(certificate) or certificate)
        writer.write(b"x")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server.server)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port, ssl=client.client)
        assert await reader.read(1) == b"x"
        seen = writer.get_extra_info("peercert")
        writer.close()
        return seen.get("serialNumber", ""), str(await accepted.get())


async def test_replaced_files_are_used_by_the_next_connection(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "pki", NOW)
    first, second = identity(authority, "a"), identity(authority, "b")
    used = Identity(tmp_path / "c", tmp_path / "k", first.ca_file)
    shutil.copy(first.cert_file, used.cert_file)
    shutil.copy(first.key_file, used.key_file)
    server, client = PeerContexts(options(used)), PeerContexts(options(second))
    before, _ = await shown(server, client)
    # Half of a pair is no pair: what was stays.
    shutil.copy(second.cert_file, used.cert_file)
    server.reload_if_changed()
    assert (await shown(server, client))[0] == before
    shutil.copy(second.key_file, used.key_file)
    server.reload_if_changed()
    after, _ = await shown(server, client)
    assert after != before


async def test_names_of_members_are_checked(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "pki", NOW)
    one = identity(authority, "member")
    client = PeerContexts(options(one))
    _, accepted = await shown(PeerContexts(options(one, allowed_cn="member")), client)
    assert "serialNumber" in accepted
    _, told = await shown(PeerContexts(options(one, allowed_cn="other")), client)
    assert told == "its certificate's common name is 'member'"
    _, accepted = await shown(PeerContexts(options(one, allowed_hostname="127.0.0.1")), client)
    assert "serialNumber" in accepted
    _, told = await shown(PeerContexts(options(one, allowed_hostname="b")), client)
    assert told == "its certificate does not carry 'b'"


async def test_revoked_members_are_refused(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "pki", NOW)
    one, gone = identity(authority, "one"), identity(authority, "gone")
    ca = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    key = serialization.load_pem_private_key((tmp_path / "pki" / "ca.key").read_bytes(), None)
    serial = x509.load_pem_x509_certificate(gone.cert_file.read_bytes()).serial_number
    revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(NOW - datetime.timedelta(minutes=1))
        .next_update(NOW + datetime.timedelta(days=1))
        .add_revoked_certificate(revoked)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    file = tmp_path / "crl.pem"
    file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    server = PeerContexts(options(one, crl_file=file))
    await shown(server, PeerContexts(options(one)))
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        await shown(server, PeerContexts(options(gone)))


async def test_without_an_authority_members_are_not_verified(tmp_path: Path) -> None:
    ours = identity(CertificateAuthority(tmp_path / "a", NOW), "a")
    theirs = identity(CertificateAuthority(tmp_path / "b", NOW), "b")
    blind = [PeerContexts(PeerTls(one.cert_file, one.key_file, None)) for one in (ours, theirs)]
    await shown(*blind)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        await shown(PeerContexts(options(ours)), PeerContexts(options(theirs)))
