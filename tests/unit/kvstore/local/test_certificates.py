"""The authority: identities are made once, renewed when they must be, and private."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509

from kvstore.local.certificates import CertificateAuthority

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_keys_are_private_and_certificates_carry_the_identity(tmp_path: Path) -> None:
    made = CertificateAuthority(tmp_path / "pki", NOW).identity(
        "agent",
        "system:node:n",
        organizations=["system:nodes"],
        hosts=["n", "127.1.2.3"],
        server=True,
    )
    assert made.key_file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600
    cert = x509.load_pem_x509_certificate(made.cert_file.read_bytes())
    assert cert.subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n"]
    context = ssl.create_default_context(cafile=str(made.ca_file))
    context.load_cert_chain(made.cert_file, made.key_file)


def test_a_good_certificate_stays_and_a_bad_one_is_made_anew(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, NOW)
    first = authority.identity("a", "a", hosts=["127.0.0.1"]).cert_file.read_bytes()
    again = CertificateAuthority(tmp_path, NOW)
    assert again.identity("a", "a", hosts=["127.0.0.1"]).cert_file.read_bytes() == first
    more = again.identity("a", "a", hosts=["127.0.0.1", "b"]).cert_file.read_bytes()
    assert more != first
    later = CertificateAuthority(tmp_path, NOW + datetime.timedelta(days=340))
    assert later.identity("a", "a", hosts=["127.0.0.1", "b"]).cert_file.read_bytes() != more


def test_certificates_of_another_authority_are_replaced(tmp_path: Path) -> None:
    made = CertificateAuthority(tmp_path, NOW).identity("a", "a")
    before = made.cert_file.read_bytes()
    (tmp_path / "ca.key").unlink()
    assert CertificateAuthority(tmp_path, NOW).identity("a", "a").cert_file.read_bytes() != before
