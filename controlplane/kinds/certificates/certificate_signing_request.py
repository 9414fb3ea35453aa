"""CertificateSigningRequests: somebody asks, somebody approves, a signer signs.

Who asks is written into the spec by the server and never changes; Approved and Denied are set through the approval
subresource only, the certificate through the status.

Source: pkg/apis/certificates/validation/validation.go, pkg/registry/certificates/certificates/strategy.go, printers.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from controlplane.api import meta, times
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import READ_WRITE, STATUS, Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"

CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io",
    "v1",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    namespaced=False,
    short_names=("csr",),
    subresources=(Subresource("approval", READ_WRITE), STATUS),
    field_labels=("spec.signerName",),
)

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
_MIN_SECONDS = 600
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_PATH = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_SIGNER_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def pem_of(request: Obj) -> bytes:
    """The PEM text that is to be signed; empty when it cannot be read."""
    try:
        return base64.b64decode(str(meta.spec(request).get("request") or ""))
    except (binascii.Error, ValueError):
        return b""


def parsed(pem: bytes) -> CertificateSigningRequest | None:
    """The request in a PEM text whose signature is right, else None."""
    # Late: most programs that know this kind never look into one.
    from cryptography import x509

    try:
        found = x509.load_pem_x509_csr(pem)
    except ValueError:
        return None
    return found if found.is_signature_valid else None


def common_name(request: Obj) -> str | None:
    """The common name that is asked for, empty without one; None when the request cannot be read."""
    from cryptography.x509.oid import NameOID

    found = parsed(pem_of(request))
    if found is None:
        return None
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def conditions_of(request: Obj, kind: str) -> list[Obj]:
    """The conditions of one type."""
    return [one for one in meta.status(request).get("conditions") or () if one.get("type") == kind]


def _validate(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    causes = _validate_request(spec.get("request"))
    usages = spec.get("usages") or []
    if not usages:
        causes.append(fields.required("spec.usages"))
    for number, usage in enumerate(usages):
        if usage not in USAGES:
            causes.append(fields.not_supported(f"spec.usages[{number}]", usage, USAGES))
    for number, usage in enumerate(usages):
        if usage in usages[:number]:
            causes.append(fields.duplicate(f"spec.usages[{number}]", usage))
    causes += _validate_signer(str(spec.get("signerName") or ""))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_SECONDS:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(fields.invalid("spec.expirationSeconds", seconds, detail))
    return causes + _validate_conditions(obj) + _validate_certificate(obj)


def _validate_request(given: object) -> list[Cause]:
    try:
        pem = base64.b64decode(str(given or ""))
    except (binascii.Error, ValueError):
        pem = b""
    match = _PEM.search(pem)
    if match is None or match.group(1) != b"CERTIFICATE REQUEST":
        detail = "PEM block type must be CERTIFICATE REQUEST"
    elif parsed(match.group(0)) is None:
        detail = "x509: malformed certificate request"
    else:
        return []
    return [fields.invalid("spec.request", given, detail)]


def _validate_signer(name: str) -> list[Cause]:
    path = "spec.signerName"
    if not name:
        return [fields.required(path)]
    if name == _LEGACY_SIGNER:
        detail = "the legacy signerName is not allowed via this API version"
        return [fields.invalid(path, name, detail)]
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest or not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(rest):
        return [fields.invalid(path, name, _SIGNER_FORM)]
    if len(name) > 571:
        return [fields.too_long(path, 571)]
    return []


def _validate_conditions(obj: Obj) -> list[Cause]:
    path, causes, seen = "status.conditions", [], set[str]()
    for number, one in enumerate(meta.status(obj).get("conditions") or ()):
        where = f"{path}[{number}]"
        kind, status = str(one.get("type") or ""), str(one.get("status") or "")
        if not kind:
            causes.append(fields.required(f"{where}.type"))
        allowed = ("True",) if kind in (APPROVED, DENIED, FAILED) else ("False", "True", "Unknown")
        if not status:
            causes.append(fields.required(f"{where}.status"))
        elif status not in allowed:
            causes.append(fields.not_supported(f"{where}.status", status, allowed))
        other = {APPROVED: DENIED, DENIED: APPROVED}.get(kind)
        if other is not None and other in seen:
            detail = "Approved and Denied conditions are mutually exclusive"
            causes.append(fields.invalid(path, kind, detail))
        if kind in seen:
            causes.append(fields.duplicate(f"{where}.type", kind))
        seen.add(kind)
    return causes


def _validate_certificate(obj: Obj) -> list[Cause]:
    from cryptography import x509

    given = meta.status(obj).get("certificate")
    if not given:
        return []
    path, shown = "status.certificate", "<certificate data>"
    try:
        pem = base64.b64decode(str(given))
    except (binascii.Error, ValueError):
        pem = b""
    blocks = list(_PEM.finditer(pem))
    if not blocks:
        return [fields.invalid(path, shown, "must contain at least one CERTIFICATE PEM block")]
    for block in blocks:
        kind = block.group(1).decode()
        if kind != "CERTIFICATE":
            detail = f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
            return [fields.invalid(path, shown, detail)]
        try:
            x509.load_pem_x509_certificate(block.group(0))
        except ValueError as error:
            return [fields.invalid(path, shown, f"x509: malformed certificate: {error}")]
    return []


def _kept_conditions(new: Obj, old: Obj, *, may_decide: bool) -> list[Cause]:
    """Decisions stay once they are made, and are made through the approval subresource only."""
    path, causes = "status.conditions", []
    for kind in (APPROVED, DENIED, FAILED):
        before, after = conditions_of(old, kind), conditions_of(new, kind)
        if len(after) < len(before):
            detail = f'updates may not remove a condition of type "{kind}"'
            causes.append(fields.forbidden(path, detail))
        elif may_decide or kind == FAILED:
            continue
        elif len(after) > len(before):
            detail = f'updates may not add a condition of type "{kind}"'
            causes.append(fields.forbidden(path, detail))
        elif before != after:
            detail = f'updates may not modify a condition of type "{kind}"'
            causes.append(fields.forbidden(path, detail))
    return causes


def _validate_status(new: Obj, old: Obj) -> list[Cause]:
    causes = _validate_conditions(new) + _validate_certificate(new)
    causes += _kept_conditions(new, old, may_decide=False)
    before = meta.status(old).get("certificate")
    if before and meta.status(new).get("certificate") != before:
        detail = "updates may not modify existing certificate content"
        causes.append(fields.forbidden("status.certificate", detail))
    return causes


def validate_approval(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a write of the approval subresource."""
    return _validate_conditions(new) + _kept_conditions(new, old, may_decide=True)


def stamp_conditions(obj: Obj, old: Obj, now: str) -> None:
    """Set the times of conditions that have none, as the server does for whoever decides."""
    before = {one.get("type"): one for one in meta.status(old).get("conditions") or ()}
    for one in meta.status(obj).get("conditions") or ():
        if not one.get("lastUpdateTime"):
            one["lastUpdateTime"] = now
        if not one.get("lastTransitionTime"):
            known = before.get(one.get("type"))
            is_same = known is not None and known.get("status") == one.get("status")
            one["lastTransitionTime"] = known["lastTransitionTime"] if is_same and known else now


class _RequestStrategy(Strategy):
    def prepare_for_create(self, obj: Obj) -> None:
        """A new request is undecided."""
        super().prepare_for_create(obj)
        obj["status"] = {}

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """What is asked for never changes."""
        super().prepare_for_update(obj, live)
        obj["spec"] = live.get("spec") or {}


def _duration(obj: Obj, now: float) -> str:
    """How long the certificate is to hold."""
    seconds = meta.spec(obj).get("expirationSeconds")
    return cells.NONE if seconds is None else times.human_duration(seconds)


def _condition(obj: Obj, now: float) -> str:
    """Approved or Denied, else Pending; with Failed and Issued."""
    words = []
    if conditions_of(obj, DENIED):
        words.append(DENIED)
    elif conditions_of(obj, APPROVED):
        words.append(APPROVED)
    else:
        words.append("Pending")
    if conditions_of(obj, FAILED):
        words.append(FAILED)
    if meta.status(obj).get("certificate"):
        words.append("Issued")
    return ",".join(words)


KIND = Kind(
    CERTIFICATE_SIGNING_REQUESTS,
    strategy=_RequestStrategy,
    validate=_validate,
    validate_status=_validate_status,
    validate_name=lambda name: [],
    # Compat: as recorded, the one kind whose writes leave no record.
    is_tracked=False,
    columns=(
        NAME,
        AGE,
        Column("SignerName", cells.field("spec.signerName")),
        Column("Requestor", cells.field("spec.username")),
        Column("RequestedDuration", _duration),
        Column("Condition", _condition),
    ),
)
