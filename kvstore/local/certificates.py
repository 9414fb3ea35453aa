"""The cluster's own certificate authority: ECDSA P-256, one identity a program, made at the first `up`.

Everything lives in one folder: `ca.crt`, `ca.key` (0600), and `<name>.crt` / `<name>.key` per identity. A certificate
that is missing, ends within 30 days, was made by another authority or lacks an address is made anew; the rest stays.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 365
_RENEW_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a certificate and its key are, and the authority that signed them."""

    cert_file: Path
    key_file: Path
    ca_file: Path


class CertificateAuthority:
    """The authority in `folder`; made if it is not there. `now` is the present, in UTC."""

    def __init__(self, folder: Path, now: datetime.datetime) -> None:
        self.folder = folder
        self._now = now
        self.ca_file = folder / "ca.crt"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.key_file = key_file = folder / "ca.key"
        if self.ca_file.exists() and key_file.exists():
            self._cert = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
            if not isinstance(loaded, ec.EllipticCurvePrivateKey):
                raise ValueError(
                    f"{key_file}: not an ECDSA key; remove {folder} to make a new authority"
                )
            self._key = loaded
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._cert = self._make_authority()
            _write(key_file, _key_bytes(self._key), private=True)
            _write(self.ca_file, self._cert.public_bytes(serialization.Encoding.PEM))

    def _make_authority(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quorate-ca")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(minutes=5))
            .not_valid_after(self._now + datetime.timedelta(days=_AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )

    def identity(
        self,
        file_name: str,
        common_name: str,
        *,
        organizations: Sequence[str] = (),
        hosts: Sequence[str] = (),
        server: bool = False,
        client: bool = True,
    ) -> Identity:
        """The certificate called `file_name`, made if needed. `hosts` are DNS names and IP addresses."""
        found = Identity(
            self.folder / f"{file_name}.crt", self.folder / f"{file_name}.key", self.ca_file
        )
        if not self._is_good(found, common_name, hosts):
            self._make_leaf(found, common_name, organizations, hosts, server=server, client=client)
        return found

    def key(self, file_name: str) -> Path:
        """The file of a private key called `file_name` that no certificate belongs to, made if needed."""
        path = self.folder / f"{file_name}.key"
        if not path.exists():
            _write(path, _key_bytes(ec.generate_private_key(ec.SECP256R1())), private=True)
        return path

    def _is_good(self, identity: Identity, common_name: str, hosts: Sequence[str]) -> bool:
        try:
            cert = x509.load_pem_x509_certificate(identity.cert_file.read_bytes())
        except (OSError, ValueError):
            return False
        if not identity.key_file.exists() or cert.not_valid_after_utc - self._now < _RENEW_BEFORE:
            return False
        try:
            cert.verify_directly_issued_by(self._cert)
        except Exception:  # whatever is wrong with it, a new one is the answer
            return False
        names = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not names or names[0].value != common_name:
            return False
        if not hosts:
            return True
        try:
            alternatives = cert.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            return False
        return set(alternatives) >= set(_general_names(hosts))

    def _make_leaf(
        self,
        identity: Identity,
        common_name: str,
        organizations: Sequence[str],
        hosts: Sequence[str],
        *,
        server: bool,
        client: bool,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        if client:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(minutes=5))
            .not_valid_after(self._now + datetime.timedelta(days=_LEAF_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(_general_names(hosts)), critical=False
            )
        cert = builder.sign(self._key, hashes.SHA256())
        _write(identity.key_file, _key_bytes(key), private=True)
        _write(identity.cert_file, cert.public_bytes(serialization.Encoding.PEM))


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write aside and rename, so that a reader never sees half a file; private files are 0600 from the start."""
    aside = path.with_suffix(path.suffix + ".new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    aside.replace(path)
