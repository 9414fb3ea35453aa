"""Where a webhook is: by a URL, or behind a Service of the cluster. Pure.

Source: apiserver/pkg/util/webhook/client.go.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import urlsplit

from controlplane.api.meta import Obj
from controlplane.api.validation.webhooks import PORT


@dataclass(frozen=True, slots=True)
class Target:
    """A program to call. `service` is (namespace, name), or None for one by URL; `ca_bundle` is PEM, empty for none."""

    host: str
    port: int
    path: str
    service: tuple[str, str] | None = None
    ca_bundle: bytes = b""

    @property
    def url(self) -> str:
        """As errors show it; the port is shown where the configuration says one, and of every Service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = host if self.service is None and self.port == PORT else f"{host}:{self.port}"
        return f"https://{shown}{self.path}"


def target_of(client: Obj) -> Target:
    """The target in a WebhookClientConfig that was validated. ValueError for a bundle that is not base64."""
    try:
        bundle = base64.b64decode(client.get("caBundle") or "", validate=True)
    except binascii.Error as error:
        raise ValueError(f"unable to load root certificates: {error}") from error
    service = client.get("service")
    if service:
        namespace, name = str(service.get("namespace")), str(service.get("name"))
        path = str(service.get("path") or "/")
        if not path.startswith("/"):
            path = f"/{path}"
        port = int(service.get("port") or PORT)
        return Target(f"{name}.{namespace}.svc", port, path, (namespace, name), bundle)
    parts = urlsplit(str(client.get("url") or ""))
    return Target(parts.hostname or "", parts.port or PORT, parts.path or "/", None, bundle)
