"""Rules of names that are built of a domain and a path, and of full domain names.

Source: apimachinery/pkg/util/validation/validation.go (IsDomainPrefixedPath, IsFullyQualifiedName).
"""

from __future__ import annotations

import re

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

_PATH_TEXT = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_PATH = re.compile(_PATH_TEXT)


def domain_prefixed_path(path: str, value: str) -> list[Cause]:
    """A value that is not `<domain>/<path>`, such as `acme.io/foo`."""
    if not value:
        return [fields.required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [fields.invalid(path, value, detail)]
    causes = fields.each(path, host, names.dns_subdomain(host))
    if not _PATH.fullmatch(rest):
        detail = f"Invalid path (regex used for validation is '{_PATH_TEXT}')"
        causes.append(fields.invalid(path, rest, detail))
    return causes


def fully_qualified_name(path: str, value: str) -> list[Cause]:
    """A name that is not a domain of three parts at least."""
    if not value:
        return [fields.required(path)]
    problems = names.dns_subdomain(value)
    if problems:
        return [fields.invalid(path, value, ",".join(problems))]
    if value.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [fields.invalid(path, value, detail)]
    return []


def fully_qualified_domain_name(path: str, value: str) -> list[Cause]:
    """A name that is not a domain of two parts at least; a dot at the end is let pass."""
    if not value:
        return [fields.required(path)]
    value = value.removesuffix(".")
    problems = names.dns_subdomain(value)
    if problems:
        return [fields.invalid(path, value, ",".join(problems))]
    if "." not in value:
        detail = "should be a domain with at least two segments separated by dots"
        return [fields.invalid(path, value, detail)]
    for label in value.split("."):
        problems = names.dns_label(label)
        if problems:
            return [fields.invalid(path, label, ",".join(problems))]
    return []
