"""Writing kubeconfig files: certificates inline, one context a server, readable by their owner alone."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from kvstore.local.certificates import Identity


@dataclass(frozen=True, slots=True)
class Server:
    """A context: its name, and the URL of the API server behind it."""

    name: str
    url: str


def write_kubeconfig(path: Path, servers: Sequence[Server], user: str, identity: Identity) -> None:
    """Write `path` (0600) with a context a server; the first is the current one."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    authority = inline(identity.ca_file)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": servers[0].name,
        "clusters": [
            {
                "name": server.name,
                "cluster": {"server": server.url, "certificate-authority-data": authority},
            }
            for server in servers
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(identity.cert_file),
                    "client-key-data": inline(identity.key_file),
                },
            }
        ],
        "contexts": [
            {"name": server.name, "context": {"cluster": server.name, "user": user}}
            for server in servers
        ],
        "preferences": {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    aside.replace(path)
