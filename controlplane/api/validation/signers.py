"""Names of signers of certificates, and of the trust bundles that belong to them."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_MAX_DOMAIN = 253
_MAX_PATH = 253 + 63 + 1


def signer_name(where: str, text: str) -> list[Cause]:
    """A name such as `example.com/signer`."""
    if not text:
        return [fields.required(where)]
    segments = text.split("/")
    if len(segments) != 2:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [fields.invalid(where, text, detail)]
    domain, path = segments
    causes = [fields.too_long(where, _MAX_DOMAIN)] if len(domain) > _MAX_DOMAIN else []
    labels = domain.split(".")
    causes += _labels(where, domain, labels, names.dns_label)
    if len(labels) < 2:
        detail = "should be a domain with at least two segments separated by dots"
        causes.append(fields.invalid(where, domain, detail))
    causes += _labels(where, path, path.split("."), names.dns_subdomain)
    limit = _MAX_DOMAIN + _MAX_PATH + 1
    if len(text) > limit:
        causes.append(fields.too_long(where, limit))
    return causes


def _labels(where: str, text: str, labels: list[str], rule: names.Rule) -> list[Cause]:
    for label in labels:
        problems = rule(label)
        if problems:
            # The first bad label is enough: the others would say the same.
            shown = [f'validating label "{label}": {problem}' for problem in problems]
            return fields.each(where, text, shown)
    return []


def trust_bundle_name(name: str, signer: str) -> list[str]:
    """The problems of a ClusterTrustBundle's name; `signer` is empty for bundles without one."""
    if not signer:
        if ":" in name:
            return ['ClusterTrustBundle without signer name must not have ":" in its name']
        return names.dns_subdomain(name)
    prefix = signer.replace("/", ":") + ":"
    if not name.startswith(prefix):
        return [f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"]
    return names.dns_subdomain(name.removeprefix(prefix))
