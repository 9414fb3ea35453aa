"""How a program in a pod reaches the API servers: by environment variables and its service account's files.

Source: "Accessing the Kubernetes API from a Pod" of the Kubernetes documentation. The token is replaced while the pod
runs, so the file is read again once it is `_FRESH_SECONDS` old.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.client.transport import TlsIdentity
from kvstore.base.clock import Clock

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FRESH_SECONDS = 60.0


class NotInClusterError(Exception):
    """This process does not run in a pod, or its service account is not mounted; the message says what is missing."""


class TokenFile:
    """The token in a file, as it is now."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._read_at: float | None = None

    def __call__(self) -> str:
        """The token; the last one that could be read when the file cannot be."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= _FRESH_SECONDS:
            try:
                self._token = self._path.read_text().strip()
                self._read_at = now
            except OSError:
                if not self._token:
                    raise
        return self._token


@dataclass(frozen=True, slots=True)
class InCluster:
    """Where the API server is, and how to trust and be trusted."""

    server: str
    tls: TlsIdentity
    token: TokenFile
    namespace: str


def load(environment: Mapping[str, str], clock: Clock, folder: Path = FOLDER) -> InCluster:
    """What the pod was given; NotInClusterError when it was not."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{word}", "") for word in ("HOST", "PORT"))
    if not host or not port:
        raise NotInClusterError(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod; "
            "name a kubeconfig"
        )
    token = TokenFile(folder / "token", clock)
    try:
        token()
        authority = (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise NotInClusterError(f"the service account is not mounted: {error}") from error
    try:
        namespace = (folder / "namespace").read_text().strip()
    except OSError:
        namespace = "default"
    shown = f"[{host}]" if ":" in host else host
    identity = TlsIdentity(ca_pem=authority, cert_pem=b"", key_pem=b"", insecure=False)
    return InCluster(f"https://{shown}:{port}", identity, token, namespace)
