"""A kubeconfig file: the current context's server, certificates and token.

Takes what `kubectl` writes: `*-data` fields in base64, or file names relative to the kubeconfig's own folder. Exec
plugins and auth providers are refused with a clear error; nothing here starts programs.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from controlplane.client.transport import TlsIdentity


class KubeconfigError(ValueError):
    """The file cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What one context says."""

    server: str
    tls: TlsIdentity | None
    token: str
    namespace: str

    def without_identity(self) -> "Kubeconfig":
        """The same servers, and nobody who asks."""
        tls = None
        if self.tls is not None:
            tls = replace(self.tls, cert_pem=b"", key_pem=b"")
        return replace(self, tls=tls, token="")


def load_kubeconfig(path: str | Path, context: str = "") -> Kubeconfig:
    """Read `path`; the current context unless one is named. Raises KubeconfigError."""
    file = Path(path)
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{path}: not a kubeconfig")
    chosen = _named(
        document, "contexts", context or str(document.get("current-context") or ""), path
    )
    chosen = chosen.get("context") or {}
    cluster = (
        _named(document, "clusters", str(chosen.get("cluster", "")), path).get("cluster") or {}
    )
    user: dict[str, Any] = {}
    if chosen.get("user"):
        user = _named(document, "users", str(chosen["user"]), path).get("user") or {}
    for refused in ("exec", "auth-provider", "username"):
        if refused in user:
            raise KubeconfigError(f"{path}: users[].user.{refused} is not supported")
    server = str(cluster.get("server", ""))
    tls = None
    if server.startswith("https://"):
        tls = TlsIdentity(
            ca_pem=_pem(cluster, "certificate-authority", file),
            cert_pem=_pem(user, "client-certificate", file),
            key_pem=_pem(user, "client-key", file),
            insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
        )
    return Kubeconfig(
        server, tls, str(user.get("token", "")), str(chosen.get("namespace", "default"))
    )


def _named(document: dict[str, Any], section: str, name: str, path: str | Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            return dict(entry)
    raise KubeconfigError(f"{path}: {section} has no entry named {name!r}")


def _pem(section: dict[str, Any], name: str, file: Path) -> bytes:
    if data := section.get(f"{name}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise KubeconfigError(f"{file}: {name}-data is not base64") from error
    if relative := section.get(name):
        try:
            return (file.parent / str(relative)).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"{file}: {name}: {error}") from error
    return b""
