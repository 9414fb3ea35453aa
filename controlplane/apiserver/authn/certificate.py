"""Client certificates: the common name is the user, each organization a group.

A user's uid may stand under an attribute of its own (upstream's AllowParsingUserUIDFromCertAuth); the certificate's
fingerprint is told as the credential's id, so that an audit log can tell two certificates of one user apart.

Source: apiserver/pkg/authentication/request/x509.
"""

from controlplane.api import errors
from controlplane.apiserver.authn.authority import Authority
from controlplane.apiserver.http.messages import Request, User

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_UID_ATTRIBUTE = "1.3.6.1.4.1.57683.2"


class CertificateAuthenticator:
    """Takes what the TLS layer has verified; with several authorities, only what is of the clients' own."""

    def __init__(self, authority: Authority | None = None) -> None:
        self._authority = authority

    async def authenticate(self, request: Request) -> User | None:
        """The certificate's user; None without a certificate, or without a name in it."""
        certificate = request.incoming.certificate
        if certificate is None:
            return None
        if self._authority is not None and not self._authority.has_issued(certificate):
            return None
        names = certificate.values("commonName")
        if not names or not names[-1]:
            return None
        uids = certificate.values(_UID_ATTRIBUTE)
        if len(uids) > 1:
            raise errors.Unauthorized()
        extra = {}
        if certificate.fingerprint:
            extra[CREDENTIAL_ID] = (f"X509SHA256={certificate.fingerprint}",)
        groups = certificate.values("organizationName")
        return User(names[-1], groups, uids[0] if uids else "", extra)
