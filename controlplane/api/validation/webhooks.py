"""Where a webhook is called: by a URL, or as a Service of the cluster.

Source: k8s.io/apiserver/pkg/util/webhook/validation.go.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

PORT = 443
_FORM = "; desired format: https://host[/path]"


def default_client(client: Obj | None) -> None:
    """The port of a Service, when none is given."""
    service = (client or {}).get("service")
    if isinstance(service, dict) and service.get("port") is None:
        service["port"] = PORT


def validate_client(client: Obj, path: str) -> list[Cause]:
    """Causes in a WebhookClientConfig."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [fields.required(path, "exactly one of url or service is required")]
    if url is not None:
        return validate_url(url, f"{path}.url")
    return validate_service(service or {}, f"{path}.service")


def validate_url(url: str, path: str) -> list[Cause]:
    """Causes in a URL that is called by TLS."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [fields.required(path, f"url must be a valid URL: {error}{_FORM}")]
    causes: list[Cause] = []
    if parts.scheme != "https":
        detail = f"'https' is the only allowed URL scheme{_FORM}"
        causes.append(fields.invalid(path, parts.scheme, detail))
    user, _, host = parts.netloc.rpartition("@")
    if not host:
        causes.append(fields.invalid(path, host, f"host must be specified{_FORM}"))
    if user or "@" in parts.netloc:
        detail = "user information is not permitted in the URL"
        causes.append(fields.invalid(path, user, detail))
    return causes + _rest(parts, path)


def _rest(parts: SplitResult, path: str) -> list[Cause]:
    causes: list[Cause] = []
    if parts.fragment:
        causes.append(
            fields.invalid(path, parts.fragment, "fragments are not permitted in the URL")
        )
    if parts.query:
        detail = "query parameters are not permitted in the URL"
        causes.append(fields.invalid(path, parts.query, detail))
    return causes


def validate_service(service: Obj, path: str) -> list[Cause]:
    """Causes in a reference to a Service."""
    causes: list[Cause] = []
    # Compat: each of the two is told under the name of the other.
    if not service.get("namespace"):
        causes.append(fields.required(f"{path}.name"))
    if not service.get("name"):
        causes.append(fields.required(f"{path}.namespace"))
    port = service.get("port") or 0
    if not 1 <= port <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        causes.append(fields.invalid(f"{path}.port", port, detail))
    return causes + _path(service.get("path") or "/", f"{path}.path")


def _path(text: str, path: str) -> list[Cause]:
    if text == "/":
        return []
    if text == "//":
        return [fields.invalid(path, text, "segment[0] may not be empty")]
    causes: list[Cause] = []
    if not text.startswith("/"):
        causes.append(fields.invalid(path, text, "must start with a '/'"))
    for index, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            causes.append(fields.invalid(path, text, f"segment[{index}] may not be empty"))
            continue
        problems = [f"segment[{index}]: {problem}" for problem in names.dns_subdomain(step)]
        causes += fields.each(path, text, problems)
    return causes
