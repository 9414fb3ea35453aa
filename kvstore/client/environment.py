"""Which cluster the surroundings name: etcdctl's variables, or the state folder of a cluster that `quorate up` runs.

`ETCDCTL_ENDPOINTS` with `ETCDCTL_CACERT`, `_CERT`, `_KEY`, `_INSECURE_SKIP_TLS_VERIFY`, `_USER` and `_PASSWORD` count
first; they are what `eval "$(quorate env)"` sets. Without endpoints the cluster is meant that runs in `$QUORATE_STATE`,
or in `.quorate` of this folder or the nearest one above that has it. Without that it is a member on this machine.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvstore.client.types import ClientTls

DEFAULT_ENDPOINT = "127.0.0.1:2379"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client needs to know of a cluster."""

    endpoints: tuple[str, ...] = (DEFAULT_ENDPOINT,)
    tls: ClientTls | None = None
    user: str = ""
    password: str = ""


def options(environ: Mapping[str, str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """A client's options from the surroundings, those of this process if `environ` is None; `given` ones count more."""
    found = read_surroundings(os.environ if environ is None else environ, Path.cwd())
    named = {
        "endpoints": found.endpoints,
        "tls": found.tls,
        "user": found.user,
        "password": found.password,
    }
    return named | dict(given)


def read_surroundings(environ: Mapping[str, str], folder: Path) -> Surroundings:
    """The cluster that `environ` names, or that runs in `folder` or above."""
    user, password = _login(environ)
    endpoints = tuple(filter(None, map(str.strip, _get(environ, "ENDPOINTS").split(","))))
    tls = _tls(environ)
    if endpoints:
        return Surroundings(endpoints, tls, user, password)
    found, found_tls = running_cluster(environ, folder)
    return Surroundings(found or (DEFAULT_ENDPOINT,), tls or found_tls, user, password)


def running_cluster(
    environ: Mapping[str, str], folder: Path
) -> tuple[tuple[str, ...], ClientTls | None]:
    """Endpoints and certificates of the cluster whose state folder is here or above; () if there is none."""
    for state in _states(environ, folder):
        try:
            cluster = json.loads((state / "cluster.json").read_text())
            endpoints = tuple(str(one) for one in cluster["store_endpoints"])
            files = cluster.get("store_tls")
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return endpoints, ClientTls(**files) if files else None
    return (), None


def _states(environ: Mapping[str, str], folder: Path) -> Iterator[Path]:
    named = environ.get("QUORATE_STATE")
    if named:
        yield Path(named)
        return
    for one in (folder, *folder.parents):
        yield one / ".quorate"


def _get(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"ETCDCTL_{name}", "")


def _login(environ: Mapping[str, str]) -> tuple[str, str]:
    """After a password of its own a colon belongs to the user's name, as in etcdctl."""
    user, password = _get(environ, "USER"), _get(environ, "PASSWORD")
    if not user or password:
        return user, password
    name, _, rest = user.partition(":")
    return name, rest


def _tls(environ: Mapping[str, str]) -> ClientTls | None:
    ca_file, cert_file, key_file = (_get(environ, name) for name in ("CACERT", "CERT", "KEY"))
    skips = _get(environ, "INSECURE_SKIP_TLS_VERIFY").lower() in ("1", "t", "true")
    if not (ca_file or cert_file or key_file or skips):
        return None
    return ClientTls(ca_file, cert_file, key_file, skip_verify=skips)
