"""CertificateSubjectRestriction: nobody asks the client signer for a certificate of system:masters.

Source: plugin/pkg/admission/certificates/subjectrestriction.
"""

from controlplane.api import errors, meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
    parsed,
    pem_of,
)

_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


class CertificateSubjectRestriction:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New requests."""
        return operation == CREATE and resource == CERTIFICATE_SIGNING_REQUESTS and not subresource

    async def validate(self, attributes: Attributes) -> None:
        """Refuse a request for the group."""
        from cryptography.x509.oid import NameOID

        request = attributes.require_object()
        if meta.spec(request).get("signerName") != _SIGNER:
            return
        found = parsed(pem_of(request))
        if found is None:
            return
        groups = found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if any(group.value == _MASTERS for group in groups):
            why = f"use of {_SIGNER} signer with {_MASTERS} group is not allowed"
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)
