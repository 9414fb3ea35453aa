"""Options of TLS that the listening sides for clients and for members share: versions, suites, revocation, names.

Suites are named as Go names them, which are IANA's names; OpenSSL has its own. Those of TLS 1.3 cannot be chosen in Go
nor in Python's `ssl`, and are always on.
"""

import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GO_SUITES = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Go's names -> OpenSSL's, without those that no current OpenSSL has (RC4, 3DES)."""

_TLS13_SUITES = frozenset(
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
)
_VERSIONS = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}


def openssl_suites(names: Sequence[str]) -> tuple[str, ...]:
    """OpenSSL's names of Go's suites. Raises ValueError with etcd's text for one that is not known."""
    found = []
    for name in names:
        if name in _TLS13_SUITES:
            continue
        if name not in GO_SUITES:
            raise ValueError(f'unexpected TLS cipher suite "{name}"')
        found.append(GO_SUITES[name])
    return tuple(found)


def apply_options(
    context: ssl.SSLContext,
    *,
    cipher_suites: Sequence[str] = (),
    min_version: str = "TLS1.2",
    max_version: str = "",
    crl_file: Path | None = None,
) -> None:
    """Set them on `context`. Raises ssl.SSLError or OSError if the library or the file refuses."""
    context.minimum_version = _VERSIONS[min_version or "TLS1.2"]
    if max_version:
        context.maximum_version = _VERSIONS[max_version]
    if cipher_suites:
        context.set_ciphers(":".join(cipher_suites))
    if crl_file is not None:
        context.load_verify_locations(crl_file)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def common_name(certificate: Any) -> str:
    """The subject's common name in what `getpeercert` gives; empty without. Of several the last, as for Go."""
    found = ""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                found = str(value)
    return found


def carries_name(certificate: Any, name: str) -> bool:
    """Whether what `getpeercert` gives names `name`: a DNS name, a wildcard over it, or an address."""
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        if kind == "DNS":
            wanted = name.partition(".")[2] if value.startswith("*.") else name
            if value.removeprefix("*.").lower() == wanted.lower() and wanted:
                return True
        elif kind == "IP Address":
            try:
                if ipaddress.ip_address(value) == ipaddress.ip_address(name):
                    return True
            except ValueError:
                continue
    return False
