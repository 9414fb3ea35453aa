"""May a user approve, or sign, for a signer: by its name, or for all signers of its domain.

Source: pkg/util/certificates (IsAuthorizedForSignerName).
"""

from controlplane.apiserver.authz.interface import Attributes, Authorizer
from controlplane.apiserver.http.messages import User


async def may_sign_for(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """Whether `verb` (approve, sign, attest) on the signer, or on `domain/*`, is allowed."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        verdict = await authorizer.authorize(
            Attributes(
                user,
                verb,
                group="certificates.k8s.io",
                version="*",
                resource="signers",
                name=name,
            )
        )
        if verdict.is_allowed:
            return True
    return False
