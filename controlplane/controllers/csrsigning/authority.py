"""Makes a certificate of a request, as a certificate authority.

It begins five minutes ago, so that clocks may differ, and never outlives the authority. Of the request's extensions
only the alternative names are taken over; what the key may be used for, the object says that was approved.

Source: pkg/controller/certificates/authority (PermissiveSigningPolicy), pkg/controller/certificates/signer.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import ObjectIdentifier

_BACKDATE_SECONDS = 300
# Shorter lives are not shortened by what they are backdated.
_SHORT_SECONDS = 8 * 3600
_MIN_SECONDS = 600

_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_FLAGS = tuple(dict.fromkeys(_KEY_USAGES.values()))
_PURPOSES = {
    "any": Purpose.ANY_EXTENDED_KEY_USAGE,
    "server auth": Purpose.SERVER_AUTH,
    "client auth": Purpose.CLIENT_AUTH,
    "code signing": Purpose.CODE_SIGNING,
    "email protection": Purpose.EMAIL_PROTECTION,
    "s/mime": Purpose.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": Purpose.TIME_STAMPING,
    "ocsp signing": Purpose.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class CannotSign(Exception):
    """The authority has expired, or its files hold no authority."""


def seconds_granted(asked: int | None, most: float) -> float:
    """How long a certificate is to hold: what was asked for between ten minutes and `most`, else `most`."""
    if asked is None or asked > most:
        return most
    return max(asked, _MIN_SECONDS)


@dataclass(frozen=True, slots=True)
class SigningAuthority:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: _Key

    @classmethod
    def read(cls, certificate_file: str, key_file: str) -> SigningAuthority:
        """The authority in two PEM files, read anew since they may be replaced. Raises CannotSign."""
        try:
            certificate = x509.load_pem_x509_certificate(Path(certificate_file).read_bytes())
            key = serialization.load_pem_private_key(Path(key_file).read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise CannotSign(f"the signing authority cannot be read: {error}") from error
        if not isinstance(key, _Key):
            raise CannotSign("the signing key is of a sort that signs no certificates")
        return cls(certificate, key)

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        usages: Collection[str],
        seconds: float,
        now: float,
    ) -> bytes:
        """The certificate in PEM; `now` in seconds since 1970. Raises CannotSign."""
        at = datetime.datetime.fromtimestamp(now, datetime.UTC)
        end = self.certificate.not_valid_after_utc
        if at >= end:
            raise CannotSign(f"the signing authority has expired: {end.isoformat()}")
        backdated = datetime.timedelta(seconds=_BACKDATE_SECONDS)
        until = at + datetime.timedelta(seconds=seconds)
        if seconds >= _SHORT_SECONDS:
            until -= backdated
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - backdated)
            .not_valid_after(min(until, end))
        )
        for extension, is_critical in self._extensions(request, usages):
            builder = builder.add_extension(extension, is_critical)
        digest = None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        made = builder.sign(self.key, digest)
        return made.public_bytes(serialization.Encoding.PEM)

    def _extensions(
        self, request: x509.CertificateSigningRequest, usages: Collection[str]
    ) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        flags = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
        if "key_agreement" not in flags:
            flags -= {"encipher_only", "decipher_only"}
        if flags:
            found.append((x509.KeyUsage(**{flag: flag in flags for flag in _FLAGS}), True))
        purposes = dict.fromkeys(_PURPOSES[usage] for usage in usages if usage in _PURPOSES)
        if purposes:
            found.append((x509.ExtendedKeyUsage(list(purposes)), False))
        found.append((x509.BasicConstraints(ca=False, path_length=None), True))
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            pass
        else:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)
            found.append((identifier, False))
        try:
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            pass
        else:
            found.append((names.value, not list(request.subject)))
        return found
