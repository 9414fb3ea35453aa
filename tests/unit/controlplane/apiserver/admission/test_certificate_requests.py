"""Requests for certificates: who asks is the server's word, who decides and who signs needs leave for the signer."""

import base64
import json
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from controlplane.api.errors import Forbidden, Invalid
from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import Response, User
from controlplane.client.rest import RestClient
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS as CSRS,
)
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

CLIENT = "kubernetes.io/kube-apiserver-client"
N1 = User("system:node:n1", ("system:nodes",))


def pem(name: str, group: str = "") -> str:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(attributes))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(request.public_bytes(Encoding.PEM)).decode()


def asked(name: str = "c", *, signer: str = CLIENT, request: str = "", **spec: object) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "request": request or pem("jane"),
            "signerName": signer,
            "usages": ["client auth"],
            **spec,
        },
    }


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    config = ApiServerConfig(
        authorization_modes=("Node", "RBAC"), enabled_admission_plugins=("NodeRestriction",)
    )
    async with InProcessServer(config=config) as running:
        yield running


@pytest.fixture
async def jane(server: InProcessServer) -> RestClient:
    """May write requests, their approval and status, but is no approver or signer of any name."""
    everything = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests", "certificatesigningrequests/*"],
        "verbs": ["*"],
    }
    parts = [
        {**everything, "resources": ["certificatesigningrequests"]},
        {**everything, "resources": ["certificatesigningrequests/approval"]},
        {**everything, "resources": ["certificatesigningrequests/status"]},
    ]
    server.put(CLUSTER_ROLES, {"metadata": {"name": "csr"}, "rules": parts})
    _bind(server, "csr", "csr")
    await server.app.server.caches.wait_current()
    return server.client(User("jane", ("dev",), "u1"))


def _bind(server: InProcessServer, name: str, role: str) -> None:
    server.put(
        CLUSTER_ROLE_BINDINGS,
        {
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": "jane"}],
        },
    )


async def decide(client: RestClient, name: str, kind: str) -> Obj:
    condition = {"type": kind, "status": "True", "reason": "test"}
    return await client.patch(
        CSRS, name, {"status": {"conditions": [condition]}}, subresource="approval"
    )


async def test_who_asks_is_written_by_the_server(jane: RestClient) -> None:
    made = await jane.create(CSRS, asked(username="admin", groups=["system:masters"]))
    assert made["spec"]["username"] == "jane"
    assert made["spec"]["groups"] == ["dev", "system:authenticated"]
    assert made["status"] == {}
    changed = await jane.patch(CSRS, "c", {"spec": {"username": "admin", "signerName": "a.b/c"}})
    assert changed["spec"] == made["spec"]


async def test_a_decision_needs_leave_for_the_signer(
    server: InProcessServer, jane: RestClient
) -> None:
    await jane.create(CSRS, asked())
    with pytest.raises(Forbidden) as refused:
        await decide(jane, "c", "Approved")
    assert refused.value.message.endswith(
        f'user not permitted to approve requests with signerName "{CLIENT}"'
    )
    _bind(server, "approver", "system:certificates.k8s.io:kube-apiserver-client-approver")
    await server.app.server.caches.wait_current()
    approved = await decide(jane, "c", "Approved")
    (condition,) = approved["status"]["conditions"]
    assert condition["lastUpdateTime"]
    assert condition["lastTransitionTime"]


async def test_the_approval_changes_nothing_but_conditions(server: InProcessServer) -> None:
    admin = server.client()
    made = await admin.create(CSRS, asked())
    patch = {
        "spec": {"signerName": "a.b/c"},
        "status": {
            "certificate": "eA==",
            "conditions": [{"type": "Approved", "status": "True"}],
        },
    }
    approved = await admin.patch(CSRS, "c", patch, subresource="approval")
    assert approved["spec"] == made["spec"]
    assert "certificate" not in approved["status"]


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        ([{"type": "", "status": "True"}], "status.conditions[0].type"),
        ([{"type": "Approved", "status": "False"}], "status.conditions[0].status"),
        (
            [{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}],
            "status.conditions",
        ),
        ([{"type": "Approved", "status": "True"}] * 2, "status.conditions[1].type"),
    ],
    ids=["no type", "false", "both", "twice"],
)
async def test_decisions_that_are_none(
    server: InProcessServer, conditions: list[Obj], field: str
) -> None:
    admin = server.client()
    made = await admin.create(CSRS, asked())
    body = {**made, "status": {"conditions": conditions}}
    with pytest.raises(Invalid) as refused:
        await admin.update_subresource(CSRS, "c", "approval", body)
    assert [cause.field for cause in refused.value.causes] == [field]


async def test_a_decision_is_not_made_through_the_status_nor_taken_back(
    server: InProcessServer,
) -> None:
    admin = server.client()
    await admin.create(CSRS, asked())
    patch = {"status": {"conditions": [{"type": "Approved", "status": "True"}]}}
    with pytest.raises(Invalid, match='updates may not add a condition of type "Approved"'):
        await admin.patch(CSRS, "c", patch, subresource="status")
    await decide(admin, "c", "Approved")
    with pytest.raises(Invalid, match='updates may not remove a condition of type "Approved"'):
        await admin.patch(CSRS, "c", {"status": {"conditions": []}}, subresource="approval")


async def test_a_certificate_needs_leave_of_the_signer(
    server: InProcessServer, jane: RestClient
) -> None:
    await jane.create(CSRS, asked())
    failed = [{"type": "Failed", "status": "True"}]
    with pytest.raises(Forbidden, match="user not permitted to sign requests with signerName"):
        await jane.patch(CSRS, "c", {"status": {"conditions": failed}}, subresource="status")
    with pytest.raises(Invalid, match="must contain at least one CERTIFICATE PEM block"):
        await server.client().patch(
            CSRS, "c", {"status": {"certificate": "eA=="}}, subresource="status"
        )


async def test_nobody_asks_for_masters(server: InProcessServer, jane: RestClient) -> None:
    with pytest.raises(Forbidden, match="system:masters group is not allowed"):
        await jane.create(CSRS, asked(request=pem("jane", "system:masters")))
    # Other signers have rules of their own.
    await jane.create(CSRS, asked(signer="example.com/s", request=pem("jane", "system:masters")))


@pytest.mark.parametrize("signer", ["kube-apiserver-client-kubelet", "kubelet-serving"])
async def test_a_node_asks_for_itself_only(server: InProcessServer, signer: str) -> None:
    node = server.client(N1)
    own = asked(signer=f"kubernetes.io/{signer}", request=pem("system:node:n1"))
    await node.create(CSRS, own)
    other = asked("d", signer=f"kubernetes.io/{signer}", request=pem("system:node:n2"))
    with pytest.raises(Forbidden, match="can only create a node CSR with CN=system:node:n1"):
        await node.create(CSRS, other)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"request": "YWJj"}, ["spec.request"]),
        ({"usages": []}, ["spec.usages"]),
        ({"usages": ["x", "client auth", "client auth"]}, ["spec.usages[0]", "spec.usages[2]"]),
        ({"signerName": "abc"}, ["spec.signerName"]),
        ({"signerName": "kubernetes.io/legacy-unknown"}, ["spec.signerName"]),
        ({"expirationSeconds": 599}, ["spec.expirationSeconds"]),
    ],
    ids=["no request", "no usages", "bad usages", "no signer", "the old signer", "too short"],
)
async def test_requests_that_are_refused(
    server: InProcessServer, spec: Obj, fields: list[str]
) -> None:
    body = asked()
    body["spec"].update(spec)
    with pytest.raises(Invalid) as refused:
        await server.client().create(CSRS, body)
    assert [cause.field for cause in refused.value.causes] == fields


async def test_how_kubectl_shows_them(server: InProcessServer) -> None:
    admin = server.client()
    await admin.create(CSRS, asked(expirationSeconds=600))
    await decide(admin, "c", "Approved")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    answer = await server.ask(
        InProcessRequest.of("GET", CSRS.path("", "c"), headers={"accept": accept})
    )
    assert isinstance(answer, Response)
    cells = json.loads(answer.body)["rows"][0]["cells"]
    assert [cells[0], *cells[2:]] == ["c", CLIENT, "admin", "10m", "Approved"]
