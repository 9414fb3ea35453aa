"""kube-system/extension-apiserver-authentication: whom an API server behind this one may believe.

It holds the authorities of clients and of front proxies, and the names of the headers that front proxies send. Several
servers may differ in what they trust: each adds its own to what is there.

Source: pkg/controlplane/controller/clusterauthenticationtrust.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig

NAMESPACE = "kube-system"
NAME = "extension-apiserver-authentication"
_BUNDLES = ("client-ca-file", "requestheader-client-ca-file")


def data(config: ApiServerConfig) -> dict[str, str]:
    """What this server's settings say; OSError for files that cannot be read."""
    found: dict[str, str] = {}
    if config.client_ca_file:
        found["client-ca-file"] = Path(config.client_ca_file).read_text(encoding="ascii")
    if not config.requestheader_client_ca_file:
        return found
    bundle = Path(config.requestheader_client_ca_file).read_text(encoding="ascii")
    found["requestheader-client-ca-file"] = bundle
    for key, values in (
        ("allowed-names", config.requestheader_allowed_names),
        ("extra-headers-prefix", config.requestheader_extra_headers_prefix),
        ("group-headers", config.requestheader_group_headers),
        ("uid-headers", config.requestheader_uid_headers),
        ("username-headers", config.requestheader_username_headers),
    ):
        found[f"requestheader-{key}"] = _shown(values)
    return found


def _shown(values: Sequence[str]) -> str:
    return json.dumps(list(values), separators=(",", ":"))


def completed(live: Obj, own: dict[str, str]) -> Obj:
    """The ConfigMap with this server's own in it; the same object when it is there already."""
    there = dict(live.get("data") or {})
    merged = dict(there)
    for key, value in own.items():
        merged[key] = (_bundles if key in _BUNDLES else _lists)(there.get(key, ""), value)
    return live if merged == there else {**live, "data": merged}


def _lists(there: str, own: str) -> str:
    try:
        known = json.loads(there) if there else []
    except ValueError:
        known = []
    if not isinstance(known, list):
        known = []
    return _shown(list(dict.fromkeys([*known, *json.loads(own)])))


def _bundles(there: str, own: str) -> str:
    known = _certificates(there)
    missing = [one for one in _certificates(own) if one not in known]
    if not missing:
        return there
    # What is no certificate is of no use to anybody.
    return "".join([*known, *missing])


def _certificates(bundle: str) -> list[str]:
    try:
        found = x509.load_pem_x509_certificates(bundle.encode()) if bundle.strip() else []
    except ValueError:
        return []
    return [one.public_bytes(Encoding.PEM).decode() for one in found]
