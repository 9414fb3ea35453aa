"""Who may ask a node: over TLS, by certificates and tokens, decided by the reviews of a real API server.

The attack that each check stands against succeeds where the check is taken out: see the last test.
"""

import datetime
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, User
from controlplane.client.rest import RestClient
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kubelet.server.access import Access, parts_of
from controlplane.kubelet.server.server import KubeletServer, tls_context
from controlplane.testing.in_process import InProcessRequest, InProcessServer
from kvstore.base.clock import SystemClock
from kvstore.local.certificates import CertificateAuthority, Identity

pytestmark = pytest.mark.timeout(120)
POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u"},
    "spec": {"containers": [{"name": "c"}]},
}
LOGS = "/containerLogs/d/p/c"
NODE = User("system:node:n1", ("system:nodes",))


class OneRun:
    """A runtime with one container that has said one line."""

    def list_containers(self, pod_uid: str) -> list[Any]:
        return [SimpleNamespace(id="1", name="c")]

    async def logs(self, run: str, options: object) -> AsyncIterator[bytes]:
        yield b"private\n"


class Node:
    """A node's server and the API server that it asks."""

    def __init__(self, folder: Path, *, is_guarded: bool = True) -> None:
        self.clock = SystemClock()
        now = datetime.datetime.now(datetime.UTC)
        self.authority = CertificateAuthority(folder / "pki", now)
        self.foreign = CertificateAuthority(folder / "foreign", now)
        key = folder / "key.pem"
        key.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.api = InProcessServer(
            config=ApiServerConfig(
                authorization_modes=("Node", "RBAC"), service_account_signing_key_file=str(key)
            )
        )
        self.is_guarded = is_guarded
        self.runner: web.AppRunner | None = None
        self.client: RestClient | None = None
        self.port = 0

    async def __aenter__(self) -> "Node":
        await self.api.__aenter__()
        self.client = self.api.client(NODE)
        serving = self.authority.identity("n1", "system:node:n1", hosts=("127.0.0.1",), server=True)
        tls = tls_context(
            *(str(serving.cert_file), str(serving.key_file), str(serving.ca_file)),
            demands_certificate=False,
        )
        access = Access(self.client, "n1", self.clock) if self.is_guarded else None
        pods: Any = SimpleNamespace(get=lambda name, namespace: POD, all=lambda: [POD])
        server = KubeletServer(OneRun(), pods, self.clock, access)  # type: ignore[arg-type]
        self.runner = await server.serve("127.0.0.1", 0, tls, self._heard)
        return self

    async def __aexit__(self, *what: object) -> None:
        assert self.runner is not None
        assert self.client is not None
        await self.runner.cleanup()
        await self.client.close()
        await self.api.__aexit__(*what)  # type: ignore[arg-type]

    def _heard(self, port: int) -> None:
        self.port = port

    def certificate(self, name: str, *groups: str) -> Identity:
        return self.authority.identity(name.replace(":", "-"), name, organizations=list(groups))

    async def get(
        self, path: str, identity: Identity | None = None, token: str = "", **headers: str
    ) -> tuple[int, str]:
        tls = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if identity is not None:
            tls.load_cert_chain(identity.cert_file, identity.key_file)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = f"https://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=tls, headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def token(self, name: str) -> str:
        admin = self.api.client()
        await admin.create(SERVICE_ACCOUNTS, {"metadata": {"name": name}}, "default")
        await admin.close()
        url = f"/api/v1/namespaces/default/serviceaccounts/{name}/token"
        answer = await self.api.ask(InProcessRequest.of("POST", url, {"spec": {}}))
        assert isinstance(answer, Response)
        made: str = json.loads(answer.body)["status"]["token"]
        return made


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with Node(tmp_path) as made:
        yield made


async def test_the_api_servers_certificate_reads_logs(node: Node) -> None:
    identity = node.certificate("apiserver", "system:masters")
    assert await node.get(LOGS, identity) == (200, "private\n")


async def test_nobody_reads_nothing(node: Node) -> None:
    for path in (LOGS, "/pods", "/healthz", "/exec/d/p/c?command=id", "/run/d/p/c", "/"):
        assert await node.get(path) == (401, "Unauthorized\n")


async def test_a_certificate_of_another_authority_is_none(node: Node) -> None:
    identity = node.foreign.identity("root", "root", organizations=["system:masters"])
    try:
        code, _ = await node.get(LOGS, identity)
    except (aiohttp.ClientError, OSError):
        # The handshake may end before anything is answered.
        return
    assert code == 401


async def test_another_nodes_certificate_reads_nothing_here(node: Node) -> None:
    identity = node.certificate("system:node:n2", "system:nodes")
    assert await node.get(LOGS, identity) == (
        403,
        "Forbidden (user=system:node:n2, verb=get, resource=nodes, subresource(s)=[proxy])\n",
    )
    assert (await node.get("/exec/d/p/c?command=id", identity))[0] == 403


async def test_a_pods_token_does_not_read_its_nodes_logs(node: Node) -> None:
    token = await node.token("app")
    code, text = await node.get(LOGS, token=token)
    assert code == 403
    assert "user=system:serviceaccount:default:app" in text
    assert (await node.get("/logs/kubelet.log", token=token))[0] == 403
    assert (await node.get(LOGS, token="forged.token.x"))[0] == 401
    # Headers of a front proxy say nothing here.
    smuggled = {"X-Remote-User": "root", "X-Remote-Group": "system:masters"}
    assert (await node.get(LOGS, token=token, **smuggled))[0] == 403
    assert (await node.get(LOGS, **smuggled))[0] == 401


async def test_a_role_lets_a_token_in_where_it_says_so(node: Node) -> None:
    token = await node.token("monitor")
    admin = node.api.client()
    rule = {"apiGroups": [""], "resources": ["nodes/healthz"], "verbs": ["get"]}
    await admin.create(CLUSTER_ROLES, {"metadata": {"name": "health"}, "rules": [rule]})
    await admin.create(
        CLUSTER_ROLE_BINDINGS,
        {
            "metadata": {"name": "health"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "health",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "monitor", "namespace": "default"}],
        },
    )
    await admin.close()
    assert await node.get("/healthz", token=token) == (200, "ok")
    assert (await node.get(LOGS, token=token))[0] == 403


async def test_decisions_are_remembered_and_without_an_api_server_nobody_new_comes_in(
    node: Node,
) -> None:
    identity = node.certificate("apiserver", "system:masters")
    await node.get(LOGS, identity)
    asked = len(node.api.requests)
    await node.get(LOGS, identity)
    assert len(node.api.requests) == asked
    node.api.down = True
    assert (await node.get(LOGS, identity))[0] == 200
    other = node.certificate("other", "system:masters")
    assert (await node.get(LOGS, other))[0] == 500
    assert (await node.get(LOGS, token="unknown.token.x"))[0] == 401


async def test_without_the_check_any_certificate_of_the_cluster_reads_logs(tmp_path: Path) -> None:
    async with Node(tmp_path, is_guarded=False) as node:
        identity = node.certificate("system:node:n2", "system:nodes")
        assert await node.get(LOGS, identity) == (200, "private\n")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/pods", ["pods", "proxy"]),
        ("/podsx", ["proxy"]),
        ("/runningpods/", ["pods", "proxy"]),
        ("/healthz/ping", ["healthz", "proxy"]),
        ("/configz", ["configz", "proxy"]),
        ("/metrics/cadvisor", ["metrics"]),
        ("/stats/summary", ["stats"]),
        ("/logs/x", ["log"]),
        ("/containerLogs/d/p/c", ["proxy"]),
        ("/exec/d/p/c", ["proxy"]),
    ],
)
def test_which_part_of_a_node_a_path_is_about(path: str, parts: list[str]) -> None:
    assert parts_of(path) == parts
