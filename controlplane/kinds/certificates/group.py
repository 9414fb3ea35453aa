"""The kinds of the group certificates.k8s.io, in the order of discovery."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.kinds.certificates import certificate_signing_request

KINDS: tuple[Kind, ...] = (certificate_signing_request.KIND,)
