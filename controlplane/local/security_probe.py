"""Looks at a running cluster, for `security.py` to judge: as a stranger, as a nobody, and as its operator."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from controlplane.client.rest import RestClient
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.local import security
from controlplane.local.security import Finding
from kvstore.base.clock import Clock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls
from kvstore.local.probe import http_get

_SECONDS = 5.0
_SECRETS_PREFIX = b"/registry/secrets/"
# Not for everybody on any server.
_CLOSED = ("/api/v1/secrets", "/api/v1/namespaces/kube-system/secrets", "/metrics", "/api/v1/nodes")
_NODES = ("/pods", "/containerLogs/kube-system/x/x", "/exec/kube-system/x/x?command=id")


async def look(cluster: dict[str, Any], clock: Clock) -> list[Finding]:
    """All findings about the cluster that cluster.json describes."""
    state_dir = Path(cluster["state_dir"])
    servers = [one for one in cluster["processes"] if one["kind"] == "apiserver"]
    nodes = [
        one
        for one in cluster["processes"]
        if one["name"] == one["group"] and "https" in one["addresses"]
    ]
    findings = [
        security.files(security.modes(state_dir)),
        security.certificates(_expiries(state_dir), clock.time()),
        security.addresses(_addresses(cluster)),
        await _store(cluster),
        await _encryption(cluster),
        _audit(state_dir),
    ]
    if servers:
        findings += [
            security.anonymous(await _unknown(servers, _CLOSED)),
            security.kubelets([*await _unknown(nodes, _NODES), *await _weak(cluster, nodes)]),
            security.transport(await _plain([*servers, *nodes])),
            *await _objects(cluster),
        ]
    return findings


def _expiries(state_dir: Path) -> list[tuple[str, float]]:
    found = []
    for path in sorted((state_dir / "pki").rglob("*.crt")):
        with contextlib.suppress(OSError, ValueError):
            parsed = x509.load_pem_x509_certificate(path.read_bytes())
            found.append((path.name, parsed.not_valid_after_utc.timestamp()))
    return found


def _addresses(cluster: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (one["name"], urlsplit(url).hostname or "")
        for one in cluster["processes"]
        for url in one["addresses"].values()
    ]


def _audit(state_dir: Path) -> Finding:
    logs = list((state_dir / "audit").glob("*.log"))
    return security.audit(bool(logs), sum(path.stat().st_size for path in logs))


def _stranger() -> ssl.SSLContext:
    """A client who shows nothing, and does not care whom it speaks with."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _unknown(
    servers: Sequence[dict[str, Any]], paths: Sequence[str]
) -> list[tuple[str, str, int]]:
    return await _ask(servers, paths, _stranger())


async def _weak(
    cluster: dict[str, Any], nodes: Sequence[dict[str, Any]]
) -> list[tuple[str, str, int]]:
    """As somebody whom the cluster's authority knows and no role names."""
    operator = cluster.get("store_tls")
    if operator is None:
        return []
    context = _stranger()
    context.load_cert_chain(operator["cert_file"], operator["key_file"])
    return await _ask(nodes, _NODES, context)


async def _ask(
    servers: Sequence[dict[str, Any]], paths: Sequence[str], tls: ssl.SSLContext
) -> list[tuple[str, str, int]]:
    async def one(name: str, url: str, path: str) -> tuple[str, str, int]:
        place = urlsplit(url)
        try:
            code, _ = await http_get(
                place.hostname or "", place.port or 0, path, tls=tls, timeout_seconds=_SECONDS
            )
        except (OSError, TimeoutError, ValueError):
            # Shut before anything was said is as good as a refusal.
            return name, path, 401
        return name, path, code

    return list(
        await asyncio.gather(
            *(
                one(server["name"], server["addresses"]["https"], path)
                for server in servers
                for path in paths
            )
        )
    )


async def _plain(servers: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    old = _stranger()
    # Some libraries cannot speak the old versions at all: then nobody can be found who takes them.
    with contextlib.suppress(ValueError, ssl.SSLError):
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    found = []
    for server in servers:
        place = urlsplit(server["addresses"]["https"])
        for what, tls in (("a plain connection", None), ("TLS 1.1", old)):
            taken = await _taken(place.hostname or "", place.port or 0, tls)
            found.append((server["name"], what if taken else ""))
    return found


async def _taken(host: str, port: int, tls: ssl.SSLContext | None) -> bool:
    try:
        code, _ = await http_get(host, port, "/healthz", tls=tls, timeout_seconds=_SECONDS)
    except (OSError, TimeoutError, ValueError):
        return False
    # A server may answer a plain request by saying that it speaks TLS.
    return code < 400


@contextlib.asynccontextmanager
async def _reader(cluster: dict[str, Any], *, shows: bool) -> AsyncIterator[Client]:
    tls, operator = None, cluster.get("store_tls")
    if operator is not None:
        tls = ClientTls(operator["ca_file"])
        if shows:
            tls = ClientTls(operator["ca_file"], operator["cert_file"], operator["key_file"])
    async with Client(cluster["store_endpoints"], tls=tls, timeout_seconds=_SECONDS) as client:
        yield client


async def _store(cluster: dict[str, Any]) -> Finding:
    if cluster.get("store_tls") is None:
        return security.store((), has_tls=False)
    answers = []
    for endpoint in cluster["store_endpoints"]:
        async with _reader({**cluster, "store_endpoints": [endpoint]}, shows=False) as client:
            try:
                await client.get(b"/", count_only=True)
            except ClientError:
                answers.append((endpoint, False))
            else:
                answers.append((endpoint, True))
    return security.store(answers, has_tls=True)


async def _encryption(cluster: dict[str, Any]) -> Finding:
    end = _SECRETS_PREFIX[:-1] + b"0"
    try:
        async with _reader(cluster, shows=True) as client:
            found = await client.get(_SECRETS_PREFIX, range_end=end)
    except ClientError as error:
        check = "Secrets are encrypted in the store"
        return Finding(check, security.WARNED, f"the store does not answer: {error}")
    return security.encryption((kv.key.decode(), kv.value) for kv in found.kvs)


async def _objects(cluster: dict[str, Any]) -> list[Finding]:
    client = RestClient.from_kubeconfig(cluster["kubeconfig"])
    try:
        roles, bindings, secrets, namespaces = [
            (await client.list_all(kind)).items
            for kind in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, SECRETS, NAMESPACES)
        ]
    finally:
        await client.close()
    return [
        security.bindings(roles, bindings),
        security.administrators(bindings),
        security.tokens(secrets),
        security.namespaces(namespaces),
    ]
