"""Names of drivers' things: pools, attributes, shares."""

from __future__ import annotations

import re
import uuid

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.volume_sources import driver_name

_MAX_ID = 32
_MAX_POOL = 253
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_IDENTIFIER = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of "
    "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for "
    "validation is '[A-Za-z_][A-Za-z0-9_]*')"
)


def pool_name(path: str, name: str) -> list[Cause]:
    """Causes in the name of a pool: subdomains with slashes between."""
    if not name:
        return [fields.required(path)]
    causes = [fields.too_long(path, _MAX_POOL)] if len(name.encode()) > _MAX_POOL else []
    for part in name.split("/"):
        causes += fields.each(path, part, names.dns_subdomain(part))
    return causes


def _identifier(path: str, name: str) -> list[Cause]:
    causes = [fields.too_long(path, _MAX_ID)] if len(name.encode()) > _MAX_ID else []
    if not _IDENTIFIER.fullmatch(name):
        causes.append(fields.invalid(path, name, _NO_IDENTIFIER))
    return causes


def qualified_name(path: str, name: str) -> list[Cause]:
    """Causes in a name such as `domain/identifier`; the domain may be missing."""
    # Compat: more than one slash passes.
    if name.count("/") > 1:
        return []
    domain, slash, identifier = name.rpartition("/")
    causes: list[Cause] = []
    if slash and not domain:
        causes.append(fields.invalid(path, "", "the domain must not be empty"))
    elif slash:
        causes += driver_name(domain, path)
    if slash and not identifier:
        return [*causes, fields.invalid(path, "", "the name must not be empty")]
    return causes + _identifier(path, identifier)


def full_name(path: str, name: str) -> list[Cause]:
    """Causes in such a name whose domain may not be missing."""
    causes = qualified_name(path, name)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        causes.append(fields.invalid(path, name, detail))
    return causes


def share_id(path: str, text: str) -> list[Cause]:
    """Causes in a uid."""
    try:
        known = str(uuid.UUID(text))
    except ValueError:
        detail = f"error validating uid: invalid UUID length: {len(text)}"
        return [fields.invalid(path, text, detail)]
    if known == text:
        return []
    detail = (
        "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with "
        "lowercase hexadecimal characters"
    )
    return [fields.invalid(path, text, detail)]
