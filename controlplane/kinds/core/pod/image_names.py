"""Names of images: only what the default of imagePullPolicy needs, the tag.

Grammar: distribution's reference package. A name that cannot be read has no tag, not even the default one.
"""

from __future__ import annotations

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@{_DIGEST})?",
    re.ASCII,
)
_IDENTIFIER = re.compile("[a-f0-9]{64}")


def tag_of(image: str) -> str:
    """The tag; `latest` when there is neither a tag nor a digest; empty for a digest and for what is no name."""
    found = _REFERENCE.fullmatch(image)
    if found is None or _IDENTIFIER.fullmatch(image):
        return ""
    return found["tag"] or ("" if found["digest"] else "latest")


def pull_policy(image: str) -> str:
    """When to pull an image whose container does not say it."""
    return "Always" if tag_of(image) == "latest" else "IfNotPresent"
