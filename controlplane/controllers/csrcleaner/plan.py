"""When a request for a certificate is of no more use. Pure.

Source: pkg/controller/certificates/cleaner/cleaner.go.
"""

from __future__ import annotations

import base64
import binascii

from cryptography import x509

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.kinds.certificates.certificate_signing_request import (
    APPROVED,
    DENIED,
    FAILED,
    conditions_of,
)

DECIDED_SECONDS = 3600.0
PENDING_SECONDS = 24 * 3600.0


def is_over(request: Obj, now: float) -> bool:
    """Whether the request may go, at `now` in seconds since 1970."""
    status = meta.status(request)
    if not status.get("conditions"):
        return _is_older(meta.creation_timestamp(request), PENDING_SECONDS, now)
    for kind in (DENIED, FAILED):
        if any(_decided_before(one, DECIDED_SECONDS, now) for one in conditions_of(request, kind)):
            return True
    approvals = conditions_of(request, APPROVED)
    certificate = status.get("certificate")
    seconds = DECIDED_SECONDS if certificate else PENDING_SECONDS
    if any(_decided_before(one, seconds, now) for one in approvals):
        return True
    return bool(approvals) and _has_expired(certificate, now)


def _decided_before(condition: Obj, seconds: float, now: float) -> bool:
    return _is_older(str(condition.get("lastUpdateTime") or ""), seconds, now)


def _is_older(stamp: str, seconds: float, now: float) -> bool:
    return bool(stamp) and now - times.parse(stamp) > seconds


def _has_expired(certificate: object, now: float) -> bool:
    try:
        pem = base64.b64decode(str(certificate or ""))
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp() < now
    except (binascii.Error, ValueError):
        return False
