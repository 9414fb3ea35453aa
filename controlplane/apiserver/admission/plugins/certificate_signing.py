"""CertificateSigning: who writes a certificate into a request must be allowed to sign for its signer.

Source: plugin/pkg/admission/certificates/signing.
"""

from controlplane.api import errors, meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import UPDATE, Attributes
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.authz.signers import may_sign_for
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
    FAILED,
    conditions_of,
)


class CertificateSigning:
    """The plugin."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of the status."""
        return (
            operation == UPDATE
            and resource == CERTIFICATE_SIGNING_REQUESTS
            and subresource == "status"
        )

    async def validate(self, attributes: Attributes) -> None:
        """Refuse who may not sign for the signer, when certificate or failure change."""
        old, new = attributes.old or {}, attributes.require_object()
        is_same = meta.status(old).get("certificate") == meta.status(new).get("certificate")
        if is_same and conditions_of(old, FAILED) == conditions_of(new, FAILED):
            return
        signer = str(meta.spec(old).get("signerName") or "")
        if not await may_sign_for(self._authorizer, attributes.user, "sign", signer):
            why = f'user not permitted to sign requests with signerName "{signer}"'
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)
