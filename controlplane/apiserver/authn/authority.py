"""Which authority has signed a client certificate.

The TLS layer verifies certificates against all authorities of the server at once. Where there are several - clients and
front proxies - a certificate of one must not pass for one of the other, so each is looked at again, once.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from controlplane.apiserver.http.messages import Certificate

_MAX_REMEMBERED = 4096


class Authority:
    """The certificates of one PEM bundle."""

    def __init__(self, pem: bytes) -> None:
        self._authorities = x509.load_pem_x509_certificates(pem)
        self._remembered: dict[bytes, bool] = {}

    def has_issued(self, certificate: Certificate) -> bool:
        """Whether one of them has signed it; False when its encoding is not known."""
        if not certificate.der:
            return False
        found = self._remembered.get(certificate.der)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[certificate.der] = self._look(certificate.der)
        return found

    def _look(self, der: bytes) -> bool:
        leaf = x509.load_der_x509_certificate(der)
        for authority in self._authorities:
            try:
                leaf.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False
