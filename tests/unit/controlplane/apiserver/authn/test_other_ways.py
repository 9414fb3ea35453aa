"""Bootstrap tokens, token files, front proxies, and acting as somebody else."""

import base64
import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from controlplane.api.errors import Unauthorized
from controlplane.api.meta import Obj
from controlplane.apiserver.authn.authority import Authority
from controlplane.apiserver.authn.certificate import CertificateAuthenticator
from controlplane.apiserver.authn.request_header import (
    RequestHeaderAuthenticator,
    RequestHeaderConfig,
)
from controlplane.apiserver.authn.token_file import TokenFileAuthenticator
from controlplane.apiserver.http import info
from controlplane.apiserver.http.messages import ANONYMOUS, Certificate, Request, Response, User
from controlplane.apiserver.http.server import certificate_of
from controlplane.kinds.core.secret import SECRETS
from controlplane.testing.in_process import ADMIN, InProcessRequest, InProcessServer

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def whoami(
    server: InProcessServer, user: User = ANONYMOUS, *headers: tuple[str, str]
) -> tuple[int, Obj]:
    incoming = InProcessRequest.of("POST", WHOAMI, {}, user=user, headers=dict(headers))
    incoming.all_headers = list(headers)
    answer = await server.ask(incoming)
    assert isinstance(answer, Response)
    content = json.loads(answer.body)
    return answer.status, content["status"]["userInfo"] if answer.status == 201 else content


# ---- bootstrap tokens ----


def bootstrap_secret(token_id: str = "abcdef", **changes: str | None) -> Obj:
    data: dict[str, str | None] = {
        "token-id": token_id,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:worker",
        **{key.replace("_", "-"): value for key, value in changes.items()},
    }
    return {
        "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {
            key: base64.b64encode(value.encode()).decode()
            for key, value in data.items()
            if value is not None
        },
    }


async def test_a_bootstrap_token_is_a_new_node(server: InProcessServer) -> None:
    server.put(SECRETS, bootstrap_secret())
    code, me = await whoami(server, ANONYMOUS, ("authorization", "Bearer abcdef.0123456789abcdef"))
    assert code == 201
    assert me["username"] == "system:bootstrap:abcdef"
    assert me["groups"] == [
        "system:bootstrappers:worker",
        "system:bootstrappers",
        "system:authenticated",
    ]


@pytest.mark.parametrize(
    ("secret", "token"),
    [
        (bootstrap_secret(), "abcdef.0123456789abcdee"),
        (bootstrap_secret(), "ghijkl.0123456789abcdef"),
        (bootstrap_secret(token_id="ghijkl"), "abcdef.0123456789abcdef"),
        (bootstrap_secret(usage_bootstrap_authentication="false"), "abcdef.0123456789abcdef"),
        (bootstrap_secret(expiration="2001-01-01T00:00:00Z"), "abcdef.0123456789abcdef"),
        (bootstrap_secret(expiration="tomorrow"), "abcdef.0123456789abcdef"),
        (bootstrap_secret(auth_extra_groups="system:masters"), "abcdef.0123456789abcdef"),
        ({**bootstrap_secret(), "type": "Opaque"}, "abcdef.0123456789abcdef"),
    ],
    ids=[
        "wrong secret",
        "unknown",
        "another's",
        "not for this",
        "over",
        "over at no time",
        "foreign group",
        "a plain secret",
    ],
)
async def test_a_bootstrap_token_that_does_not_hold(
    server: InProcessServer, secret: Obj, token: str
) -> None:
    server.put(SECRETS, secret)
    code, _ = await whoami(server, ANONYMOUS, ("authorization", f"Bearer {token}"))
    assert code == 401


# ---- token file ----


async def test_tokens_of_a_file() -> None:
    text = 'abc,jane,u1,"dev,ops"\n# a comment\n\ndef, joe, u2\n'
    known = TokenFileAuthenticator(text)
    jane = await known.authenticate("abc", ())
    assert jane is not None
    assert jane.user == User("jane", ("dev", "ops"), "u1")
    joe = await known.authenticate("def", ())
    assert joe is not None
    assert joe.user == User("joe", (), "u2")
    assert await known.authenticate("ab", ()) is None


@pytest.mark.parametrize("line", ["abc,jane", ",jane,u1"], ids=["short", "no token"])
def test_a_file_that_cannot_be_read_names_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        TokenFileAuthenticator(line)


# ---- front proxies ----


def authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _signed(name, key, name, key, is_authority=True)


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool = False,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def leaf(name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_name = issuer[1].subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    der = _signed(name, key, str(issuer_name), issuer[0]).public_bytes(Encoding.DER)
    made = certificate_of({"subject": ((("commonName", name),),)}, der)
    assert made is not None
    return made


PROXIES, CLIENTS = authority("ca"), authority("ca")
HEADERS = (
    ("x-remote-user", "jane"),
    ("x-remote-group", "dev"),
    ("x-remote-group", "ops, and more"),
    ("x-remote-extra-acme%2fproject", "p"),
)


def _request(certificate: Certificate | None) -> Request:
    incoming = InProcessRequest("GET", "/version")
    incoming.certificate = certificate
    incoming.all_headers = HEADERS
    return Request("GET", "/version", info.parse("GET", "/version"), {}, dict(HEADERS), incoming)


def _pem(of: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]) -> bytes:
    return of[1].public_bytes(Encoding.PEM)


async def test_a_proxy_says_who_asks() -> None:
    way = RequestHeaderAuthenticator(Authority(_pem(PROXIES)), RequestHeaderConfig(("front",)))
    user = await way.authenticate(_request(leaf("front", PROXIES)))
    assert user == User("jane", ("dev", "ops, and more"), extra={"acme/project": ("p",)})


@pytest.mark.parametrize(
    "certificate",
    [None, leaf("front", CLIENTS), leaf("other", PROXIES), Certificate((("commonName", "front"),))],
    ids=["nobody", "a client of that name", "another proxy", "one that cannot be looked at"],
)
async def test_these_headers_from_others_say_nothing(certificate: Certificate | None) -> None:
    way = RequestHeaderAuthenticator(Authority(_pem(PROXIES)), RequestHeaderConfig(("front",)))
    assert await way.authenticate(_request(certificate)) is None


async def test_a_proxys_certificate_is_no_clients() -> None:
    """Else the proxies' authority could make masters."""
    way = CertificateAuthenticator(Authority(_pem(CLIENTS)))
    assert await way.authenticate(_request(leaf("front", PROXIES))) is None
    user = await way.authenticate(_request(leaf("jane", CLIENTS)))
    assert user is not None
    assert user.name == "jane"
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


async def test_a_certificates_uid_is_one_or_none() -> None:
    attribute = "1.3.6.1.4.1.57683.2"
    way = CertificateAuthenticator()
    user = await way.authenticate(_request(Certificate((("commonName", "u"), (attribute, "7")))))
    assert user is not None
    assert user.uid == "7"
    two = Certificate((("commonName", "u"), (attribute, "7"), (attribute, "8")))
    with pytest.raises(Unauthorized):
        await way.authenticate(_request(two))


# ---- impersonation ----


@pytest.mark.parametrize(
    ("headers", "name", "groups"),
    [
        ([("impersonate-user", "bob")], "bob", ["system:authenticated"]),
        (
            [("impersonate-user", "bob"), ("impersonate-group", "a"), ("impersonate-group", "b")],
            "bob",
            ["a", "b", "system:authenticated"],
        ),
        (
            [("impersonate-user", "system:serviceaccount:n:s")],
            "system:serviceaccount:n:s",
            ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"],
        ),
        ([("impersonate-user", "system:anonymous")], "system:anonymous", None),
    ],
    ids=["user", "with groups", "service account", "nobody"],
)
async def test_masters_act_as_others(
    server: InProcessServer, headers: list[tuple[str, str]], name: str, groups: list[str] | None
) -> None:
    code, me = await whoami(server, ADMIN, *headers)
    if groups is None:
        assert code == 403
        assert f'User "{name}" cannot create' in me["message"]
        return
    assert (me["username"], me["groups"]) == (name, groups)


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ([("impersonate-user", "bob")], 'impersonate resource "users" in API group ""'),
        (
            [("impersonate-user", "system:serviceaccount:n:s")],
            'impersonate resource "serviceaccounts" in API group "" in the namespace "n"',
        ),
    ],
    ids=["user", "service account"],
)
async def test_nobody_acts_as_others_without_leave(
    server: InProcessServer, headers: list[tuple[str, str]], what: str
) -> None:
    code, refusal = await whoami(server, User("jane"), *headers)
    assert code == 403
    assert f'User "jane" cannot {what}' in refusal["message"]


@pytest.mark.parametrize(
    "extra",
    [
        ("impersonate-group", "system:masters"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-scopes", "all"),
    ],
    ids=["group", "uid", "extra"],
)
async def test_each_part_needs_leave_of_its_own(
    server: InProcessServer, extra: tuple[str, str]
) -> None:
    """Leave to act as one user is no leave to bring groups along."""
    from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
    from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS

    rule = {
        "apiGroups": [""],
        "resources": ["users"],
        "verbs": ["impersonate"],
        "resourceNames": ["bob"],
    }
    server.put(CLUSTER_ROLES, {"metadata": {"name": "as-bob"}, "rules": [rule]})
    server.put(
        CLUSTER_ROLE_BINDINGS,
        {
            "metadata": {"name": "as-bob"},
            "roleRef": {"kind": "ClusterRole", "name": "as-bob"},
            "subjects": [{"kind": "User", "name": "jane"}],
        },
    )
    await server.app.server.caches.wait_current()
    assert (await whoami(server, User("jane"), ("impersonate-user", "bob")))[0] == 201
    code, _ = await whoami(server, User("jane"), ("impersonate-user", "bob"), extra)
    assert code == 403


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (
            ("impersonate-group", "x"),
            'UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)',
        ),
        (("impersonate-uid", "x"), 'UID:"x", Groups:[]string(nil), Extra:map[string][]string(nil)'),
        (
            ("impersonate-extra-foo", "x"),
            'UID:"", Groups:[]string(nil), Extra:map[string][]string{"foo":[]string{"x"}}',
        ),
    ],
    ids=["group", "uid", "extra"],
)
async def test_who_is_acted_as_must_have_a_name(
    server: InProcessServer, header: tuple[str, str], shown: str
) -> None:
    code, refusal = await whoami(server, ADMIN, header)
    assert code == 400
    assert refusal["message"] == (
        f'requested &user.DefaultInfo{{Name:"", {shown}}} without impersonating a user name'
    )
