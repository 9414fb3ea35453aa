"""Approved requests for certificates are signed by the rules of their signer."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.controllers.csrsigning.authority import (
    CannotSign,
    SigningAuthority,
    seconds_granted,
)
from controlplane.controllers.csrsigning.reconciler import client_problem
from controlplane.controllers.workloads.certificate_requests import (
    CLIENT,
    kubelet_client_problem,
    kubelet_serving_problem,
)
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS as REQUESTS,
)
from kvstore.local.certificates import CertificateAuthority

CLIENT_USAGES = ["digital signature", "key encipherment", "client auth"]
SERVER_USAGES = ["digital signature", "server auth"]
KEY = ec.generate_private_key(ec.SECP256R1())
DNS = x509.DNSName("n1")


def request(name="system:node:n1", organization="system:nodes", *alternative):
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
    if organization:
        subject.insert(0, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if alternative:
        names = x509.SubjectAlternativeName(alternative)
        builder = builder.add_extension(names, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def csr(name, found, signer, usages, **spec):
    pem = found.public_bytes(serialization.Encoding.PEM)
    fields = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": usages}
    return {"metadata": {"name": name}, "spec": {**fields, **spec}}


@pytest.fixture
def files(tmp_path):
    made = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    return made.ca_file, made.key_file


@pytest.mark.parametrize(
    ("found", "usages", "problem"),
    [
        (request(), CLIENT_USAGES, ""),
        (request(), ["digital signature", "client auth"], ""),
        (request("n1"), CLIENT_USAGES, "subject common name does not begin with system:node:"),
        (request("system:node:n1", "x"), CLIENT_USAGES,
         "subject organization is not system:nodes"),
        (request("system:node:n1", "system:nodes", DNS), CLIENT_USAGES,
         "DNS subjectAltNames are not allowed"),
        (request(), SERVER_USAGES,
         "usages did not match [client auth digital signature key encipherment]"),
    ],
)  # fmt: skip
def test_what_a_node_s_client_certificate_must_be(found, usages, problem):
    assert kubelet_client_problem(found, usages) == problem


@pytest.mark.parametrize(
    ("found", "usages", "problem"),
    [
        (request("system:node:n1", "system:nodes", DNS), SERVER_USAGES, ""),
        (request(), SERVER_USAGES, "DNS or IP subjectAltName is required"),
        (request("system:node:n1", "system:nodes", DNS, x509.RFC822Name("a@b.c")), SERVER_USAGES,
         "email subjectAltNames are not allowed"),
        (request("n1", "system:nodes", DNS), SERVER_USAGES,
         "subject common name does not begin with system:node:"),
        (request("system:node:n1", "system:nodes", DNS), CLIENT_USAGES,
         "usages did not match [digital signature key encipherment server auth]"),
    ],
)  # fmt: skip
def test_what_a_node_s_serving_certificate_must_be(found, usages, problem):
    assert kubelet_serving_problem(found, usages) == problem


def test_which_usages_a_client_may_have():
    assert client_problem(request(), CLIENT_USAGES) == ""
    assert client_problem(request(), ["client auth", "cert sign"]) == (
        "invalid usage for client certificate: cert sign"
    )
    assert client_problem(request(), ["digital signature"]) == (
        "missing required usage for client certificate: client auth"
    )


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 3600), (7200, 3600), (60, 600), (1800, 1800)]
)
def test_how_long_a_certificate_holds(asked, granted):
    assert seconds_granted(asked, 3600) == granted


def test_a_certificate_takes_over_names_and_no_more(files):
    authority = SigningAuthority.read(*map(str, files))
    now = datetime.datetime.now(datetime.UTC).timestamp()
    found = request("jane", "", DNS)
    made = x509.load_pem_x509_certificate(
        authority.sign(found, ["client auth", "signing"], 24 * 3600, now)
    )
    made.verify_directly_issued_by(authority.certificate)
    assert made.subject == found.subject
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert made.not_valid_before_utc.timestamp() == pytest.approx(now - 300, abs=2)
    assert made.not_valid_after_utc.timestamp() == pytest.approx(now + 24 * 3600 - 300, abs=2)
    short = x509.load_pem_x509_certificate(authority.sign(found, [], 3600, now))
    assert short.not_valid_after_utc.timestamp() == pytest.approx(now + 3600, abs=2)
    with pytest.raises(CannotSign, match="expired"):
        authority.sign(found, [], 3600, authority.certificate.not_valid_after_utc.timestamp() + 1)


async def test_what_an_operator_approves_is_signed(make_world, files):
    flags = [f"--cluster-signing-cert-file={files[0]}", f"--cluster-signing-key-file={files[1]}"]
    async with make_world("--controllers=csrsigning", *flags) as world:
        await world.client.create(REQUESTS, csr("good", request("jane"), CLIENT, CLIENT_USAGES))
        await world.client.create(REQUESTS, csr("bad", request("jane"), CLIENT, ["server auth"]))
        await world.step(3)
        assert "certificate" not in world.api.object(REQUESTS, "good")["status"]
        for name in ("good", "bad"):
            one = await world.client.get(REQUESTS, name)
            one["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}
            await world.client.update_subresource(REQUESTS, name, "approval", one)
        await world.step(5)
        pem = base64.b64decode(world.api.object(REQUESTS, "good")["status"]["certificate"])
        authority = SigningAuthority.read(*map(str, files))
        x509.load_pem_x509_certificate(pem).verify_directly_issued_by(authority.certificate)
        refused = world.api.object(REQUESTS, "bad")["status"]
        assert "certificate" not in refused
        assert [(one["type"], one.get("message", "")) for one in refused["conditions"]][-1] == (
            "Failed",
            "invalid usage for client certificate: server auth",
        )
