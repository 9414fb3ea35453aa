"""What requests for certificates must be like to be a node's. Pure.

Source: pkg/apis/certificates/helpers.go.
"""

from __future__ import annotations

from collections.abc import Collection

from cryptography import x509
from cryptography.x509.oid import NameOID

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"

_NODES = ["system:nodes"]
_NODE_PREFIX = "system:node:"


def names_of(request: x509.CertificateSigningRequest, kind: type[x509.GeneralName]) -> list[object]:
    """The alternative names of one kind that the request asks for."""
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.value for name in found.value if isinstance(name, kind)]


def common_name_of(request: x509.CertificateSigningRequest) -> str:
    """The last common name of the subject, empty without one."""
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def _organization_problem(request: x509.CertificateSigningRequest) -> str:
    given = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    is_right = [name.value for name in given] == _NODES
    return "" if is_right else "subject organization is not system:nodes"


def _usage_problem(usages: Collection[str], last: str) -> str:
    wanted = {"digital signature", last}
    if set(usages) in (wanted, wanted | {"key encipherment"}):
        return ""
    return f"usages did not match [{' '.join(sorted(wanted | {'key encipherment'}))}]"


def _name_problem(request: x509.CertificateSigningRequest) -> str:
    is_right = common_name_of(request).startswith(_NODE_PREFIX)
    return "" if is_right else "subject common name does not begin with system:node:"


def kubelet_client_problem(request: x509.CertificateSigningRequest, usages: Collection[str]) -> str:
    """Why the request is not for a node's client certificate; empty when it is."""
    kinds: tuple[tuple[str, type[x509.GeneralName]], ...] = (
        ("DNS", x509.DNSName),
        ("email", x509.RFC822Name),
        ("IP", x509.IPAddress),
        ("URI", x509.UniformResourceIdentifier),
    )
    problems = [_organization_problem(request)]
    problems += [
        f"{word} subjectAltNames are not allowed" for word, kind in kinds if names_of(request, kind)
    ]
    problems += [_name_problem(request), _usage_problem(usages, "client auth")]
    return next(filter(None, problems), "")


def kubelet_serving_problem(
    request: x509.CertificateSigningRequest, usages: Collection[str]
) -> str:
    """Why the request is not for a node's serving certificate; empty when it is."""
    problems = [_organization_problem(request)]
    if not names_of(request, x509.DNSName) and not names_of(request, x509.IPAddress):
        problems.append("DNS or IP subjectAltName is required")
    if names_of(request, x509.RFC822Name):
        problems.append("email subjectAltNames are not allowed")
    if names_of(request, x509.UniformResourceIdentifier):
        problems.append("URI subjectAltNames are not allowed")
    problems += [_usage_problem(usages, "server auth"), _name_problem(request)]
    return next(filter(None, problems), "")
