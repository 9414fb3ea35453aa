"""Nodes that may have a client certificate have their requests approved; nobody else has."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.apiserver.http.messages import User
from controlplane.controllers.workloads.certificate_requests import KUBELET_CLIENT
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS as REQUESTS,
)
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS

CLIENT_USAGES = ["digital signature", "key encipherment", "client auth"]


def csr(name, node, usages=CLIENT_USAGES):
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, node),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    fields = {"request": base64.b64encode(pem).decode(), "signerName": KUBELET_CLIENT}
    return {"metadata": {"name": name}, "spec": {**fields, "usages": usages}}


async def test_a_node_that_may_is_approved_by_itself_and_others_are_not(make_world):
    modes = {"authorization_modes": ("Node", "RBAC")}
    node = User("system:node:n1", ("system:nodes", "system:authenticated"))
    async with make_world("--controllers=csrapproving", **modes) as world:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "renew"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io",
                          "name": "system:nodes"}],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            },
        }  # fmt: skip
        await world.client.create(CLUSTER_ROLE_BINDINGS, binding)
        asks = world.api.client(node)
        await asks.create(REQUESTS, csr("own", "system:node:n1"))
        # Its own group may renew, but only in its own name; and only for what clients do.
        await asks.create(REQUESTS, csr("stolen", "system:node:n2"))
        await asks.create(REQUESTS, csr("serving", "system:node:n1", ["server auth"]))
        await world.step(5)
        (condition,) = world.api.object(REQUESTS, "own")["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("Approved", "AutoApproved")
        for name in ("stolen", "serving"):
            assert not world.api.object(REQUESTS, name)["status"].get("conditions")
