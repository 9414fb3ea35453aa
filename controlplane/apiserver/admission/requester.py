"""Who asks for a certificate is written into the request by the server, whatever the request says.

A part of the write path that cannot be switched off: approvers and signers decide by it.
Source: pkg/registry/certificates/certificates/strategy.go (PrepareForCreate).
"""

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
)


class Requester:
    """Sets the requester of new requests."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New requests."""
        return operation == CREATE and resource == CERTIFICATE_SIGNING_REQUESTS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Write user, uid, groups and extra into the spec."""
        spec = attributes.require_object().setdefault("spec", {})
        for field in ("username", "uid", "groups", "extra"):
            spec.pop(field, None)
        spec |= attributes.user.info()
