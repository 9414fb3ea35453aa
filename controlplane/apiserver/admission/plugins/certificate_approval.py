"""CertificateApproval: who decides about a request must be allowed to approve for its signer.

Source: plugin/pkg/admission/certificates/approval.
"""

from controlplane.api import errors, meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import UPDATE, Attributes
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.authz.signers import may_sign_for
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
)


class CertificateApproval:
    """The plugin."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Decisions."""
        return (
            operation == UPDATE
            and resource == CERTIFICATE_SIGNING_REQUESTS
            and subresource == "approval"
        )

    async def validate(self, attributes: Attributes) -> None:
        """Refuse who may not approve for the signer that the stored request names."""
        signer = str(meta.spec(attributes.old or {}).get("signerName") or "")
        if not await may_sign_for(self._authorizer, attributes.user, "approve", signer):
            why = f'user not permitted to approve requests with signerName "{signer}"'
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)
