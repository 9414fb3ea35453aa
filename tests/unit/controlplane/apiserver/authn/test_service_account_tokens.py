"""Tokens of service accounts: issued, used, reviewed; and the attacks on them, each refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.api.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound
from controlplane.api.meta import Obj
from controlplane.apiserver.authn.tokens.keys import (
    BadKeyError,
    KeyRing,
    SigningKey,
    VerifyingKey,
    load_signing_key,
    load_verifying_keys,
)
from controlplane.apiserver.http.messages import ANONYMOUS, Response
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

ISSUER = "https://kubernetes.default.svc.cluster.local"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def request_token(
    server: InProcessServer, account: str = "default", metadata: Obj | None = None, **spec: Any
) -> Obj:
    return await server.client().create_subresource(
        SERVICE_ACCOUNTS,
        account,
        "token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": metadata or {},
            "spec": spec,
        },
        "default",
    )


async def whoami(server: InProcessServer, token: str) -> tuple[int, Obj]:
    headers = {"authorization": f"Bearer {token}"}
    answer = await server.ask(
        InProcessRequest.of("POST", WHOAMI, {}, user=ANONYMOUS, headers=headers)
    )
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body)


async def review(server: InProcessServer, token: str, *audiences: str) -> Obj:
    answer = await server.ask(
        InProcessRequest.of(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {"spec": {"token": token, "audiences": list(audiences)}},
        )
    )
    assert isinstance(answer, Response)
    assert answer.status == 201
    status: Obj = json.loads(answer.body)["status"]
    return status


def pod(name: str = "p", account: str = "default", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"serviceAccountName": account, "containers": [{"name": "c"}], **spec},
    }


def claims_of(token: str) -> Obj:
    claims: Obj = jwt.decode(token, options={"verify_signature": False})
    return claims


async def test_a_token_is_its_account(server: InProcessServer) -> None:
    answer = await request_token(server)
    account = server.object(SERVICE_ACCOUNTS, "default", "default")
    assert account is not None
    assert answer["spec"] == {
        "audiences": [ISSUER],
        "expirationSeconds": 3600,
        "boundObjectRef": None,
    }
    assert answer["metadata"]["name"] == "default"
    claims = claims_of(answer["status"]["token"])
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["kubernetes.io"] == {
        "namespace": "default",
        "serviceaccount": {"name": "default", "uid": account["metadata"]["uid"]},
    }
    code, me = await whoami(server, answer["status"]["token"])
    assert code == 201
    assert me["status"]["userInfo"] == {
        "username": "system:serviceaccount:default:default",
        "uid": account["metadata"]["uid"],
        "groups": [
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated",
        ],
        "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]},
    }


async def test_a_pods_token_tells_pod_and_node(server: InProcessServer) -> None:
    server.put(NODES, {"metadata": {"name": "n1", "uid": "node-uid"}})
    server.put(PODS, pod(nodeName="n1"))
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p"}
    answer = await request_token(server, boundObjectRef=reference, expirationSeconds=3607)
    claims = claims_of(answer["status"]["token"])
    # A year for clients that never read their token again, with a note from when on it should have been renewed.
    assert claims["exp"] - claims["iat"] == 365 * 24 * 3600
    assert claims["kubernetes.io"]["warnafter"] == claims["iat"] + 3607
    _, me = await whoami(server, answer["status"]["token"])
    extra = me["status"]["userInfo"]["extra"]
    assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
    assert extra["authentication.kubernetes.io/node-name"] == ["n1"]
    assert extra["authentication.kubernetes.io/node-uid"] == ["node-uid"]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "other"}},
            BadRequest,
            "different serviceaccount name",
        ),
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "none"}},
            NotFound,
            'pods "none" not found',
        ),
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "old"}},
            Conflict,
            "the UID in the bound object reference",
        ),
        (
            {"boundObjectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "p"}},
            BadRequest,
            "cannot bind token to object of type apps/v1, Kind=Deployment",
        ),
        ({"expirationSeconds": 599}, Invalid, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, Invalid, "may not specify a duration larger than"),
    ],
    ids=["another's pod", "no pod", "another pod", "not bindable", "too short", "too long"],
)
async def test_what_cannot_be_issued(
    server: InProcessServer, spec: Obj, error: type[Exception], message: str
) -> None:
    server.put(PODS, pod())
    server.put(PODS, pod("other", "somebody"))
    with pytest.raises(error, match=message):
        await request_token(server, **spec)


async def test_a_request_for_another_account_is_refused(server: InProcessServer) -> None:
    with pytest.raises(NotFound):
        await request_token(server, "none")
    with pytest.raises(Invalid, match="must match the service account name if specified"):
        await request_token(server, metadata={"name": "other"})
    with pytest.raises(Conflict):
        await request_token(server, metadata={"uid": "old"})


# ---- attacks ----


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _forged(claims: Obj, key: SigningKey) -> str:
    return SigningKey.of(ec.generate_private_key(ec.SECP256R1())).sign(claims)


def _foreign_key_with_our_id(claims: Obj, key: SigningKey) -> str:
    other = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims, other, algorithm="ES256", headers={"kid": key.public.id})


def _unsigned(claims: Obj, key: SigningKey) -> str:
    return f"{_encoded({'alg': 'none', 'kid': key.public.id})}.{_encoded(claims)}."


def _public_key_as_secret(claims: Obj, key: SigningKey) -> str:
    from cryptography.hazmat.primitives import hashes, hmac, serialization

    secret = key.public.key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = f"{_encoded({'alg': 'HS256', 'kid': key.public.id})}.{_encoded(claims)}"
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(body.encode())
    return f"{body}.{base64.urlsafe_b64encode(mac.finalize()).rstrip(b'=').decode()}"


def _changed(**fields: Any) -> Callable[[Obj, SigningKey], str]:
    return lambda claims, key: key.sign({**claims, **fields})


def _other_account(claims: Obj, key: SigningKey) -> str:
    own = {**claims["kubernetes.io"], "serviceaccount": {"name": "default", "uid": "old"}}
    return key.sign({**claims, "kubernetes.io": own})


def _cut(claims: Obj, key: SigningKey) -> str:
    return key.sign(claims)[:-4]


ATTACKS: dict[str, Callable[[Obj, SigningKey], str]] = {
    "signed by another key": _forged,
    "signed by another key under our id": _foreign_key_with_our_id,
    "not signed": _unsigned,
    "signed with our public key as a secret": _public_key_as_secret,
    "of another issuer": _changed(iss="https://evil.example.com"),
    "for another audience": _changed(aud=["vault"]),
    "for nobody": _changed(aud=[]),
    "expired": _changed(exp=1),
    "that never ends": _changed(exp=None),
    "not valid yet": _changed(nbf=99999999999),
    "of the future": _changed(iat=99999999999),
    "of an account that was made anew": _other_account,
    "whose subject is another": _changed(sub="system:admin"),
    "without claims of ours": _changed(**{"kubernetes.io": None}),
    "cut": _cut,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_token_is_refused(
    server: InProcessServer, key_file: Path, attack: Callable[[Obj, SigningKey], str]
) -> None:
    key = load_signing_key(key_file.read_bytes())
    claims = claims_of((await request_token(server))["status"]["token"])
    # Shown to succeed but for the attack.
    assert (await whoami(server, key.sign(claims)))[0] == 201
    token = attack(claims, key)
    code, status = await whoami(server, token)
    assert (code, status["message"]) == (401, "Unauthorized")
    # No path is open to who shows a token that does not hold.
    answer = await server.ask(
        InProcessRequest.of(
            "GET", "/version", user=ANONYMOUS, headers={"authorization": f"Bearer {token}"}
        )
    )
    assert answer.status == 401
    assert "authenticated" not in await review(server, token)


@pytest.mark.parametrize("field", ["sub", "kubernetes.io"])
async def test_a_token_does_not_speak_for_an_account_it_does_not_name(
    server: InProcessServer, key_file: Path, field: str
) -> None:
    """Claims that disagree with each other, as a confused signer would make them."""
    server.put(SERVICE_ACCOUNTS, {"metadata": {"name": "rich", "namespace": "default"}})
    key = load_signing_key(key_file.read_bytes())
    poor = claims_of((await request_token(server))["status"]["token"])
    rich = claims_of((await request_token(server, "rich"))["status"]["token"])
    assert (await whoami(server, key.sign({**poor, field: rich[field]})))[0] == 401


async def test_a_deleted_pods_token_ends(server: InProcessServer) -> None:
    server.put(PODS, pod())
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p"}
    token = (await request_token(server, boundObjectRef=reference))["status"]["token"]
    assert (await whoami(server, token))[0] == 201
    server.remove(PODS, "p", "default")
    # Believed for ten seconds, then no more.
    await server.clock.advance(11)  # type: ignore[attr-defined]
    await server.app.server.caches.wait_current()
    assert (await whoami(server, token))[0] == 401
    # One of the same name is another.
    server.put(PODS, pod())
    await server.app.server.caches.wait_current()
    assert (await whoami(server, token))[0] == 401


async def test_a_deleted_accounts_and_secrets_tokens_end(server: InProcessServer) -> None:
    server.put(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "s"}
    of_secret = (await request_token(server, boundObjectRef=reference))["status"]["token"]
    of_account = (await request_token(server))["status"]["token"]
    server.remove(SECRETS, "s", "default")
    await server.app.server.caches.wait_current()
    assert (await whoami(server, of_secret))[0] == 401
    assert (await whoami(server, of_account))[0] == 201
    server.remove(SERVICE_ACCOUNTS, "default", "default")
    await server.clock.advance(11)  # type: ignore[attr-defined]
    await server.app.server.caches.wait_current()
    assert (await whoami(server, of_account))[0] == 401


# ---- reviews and discovery ----


async def test_a_review_tells_user_and_common_audiences(server: InProcessServer) -> None:
    token = (await request_token(server, audiences=["vault", ISSUER]))["status"]["token"]
    status = await review(server, token, "vault", "other")
    assert status["authenticated"] is True
    assert status["audiences"] == ["vault"]
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert (await review(server, token))["audiences"] == [ISSUER]
    assert "authenticated" not in await review(server, token, "other")


async def test_a_review_of_nonsense_says_that_it_is(server: InProcessServer) -> None:
    assert await review(server, "bad") == {"user": {}, "error": "invalid bearer token"}


async def test_a_token_for_others_only_opens_nothing_here(server: InProcessServer) -> None:
    token = (await request_token(server, audiences=["vault"]))["status"]["token"]
    assert (await whoami(server, token))[0] == 401


async def test_others_can_verify_by_what_is_published(server: InProcessServer) -> None:
    token = (await request_token(server))["status"]["token"]
    client = server.client()

    async def document(path: str) -> Obj:
        answer = await server.ask(InProcessRequest.of("GET", path, headers={"host": "api:6443"}))
        assert isinstance(answer, Response)
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        content: Obj = json.loads(answer.body)
        return content

    configuration = await document("/.well-known/openid-configuration")
    assert configuration == {
        "issuer": ISSUER,
        "jwks_uri": "https://api:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    keys = jwt.PyJWKSet.from_dict(await document("/openid/v1/jwks"))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    leeway = 10**10
    decoded = jwt.decode(token, key, audience=ISSUER, issuer=ISSUER, leeway=leeway)
    assert decoded["sub"] == "system:serviceaccount:default:default"
    await client.close()


async def test_a_token_in_a_websockets_protocol_is_taken(server: InProcessServer) -> None:
    token = (await request_token(server))["status"]["token"]
    encoded = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    protocols = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"
    answer = await server.ask(
        InProcessRequest.of(
            "POST", WHOAMI, {}, user=ANONYMOUS, headers={"sec-websocket-protocol": protocols}
        )
    )
    assert answer.status == 201


# ---- keys ----


def test_keys_can_be_exchanged_without_a_gap() -> None:
    old, new = (SigningKey.of(ec.generate_private_key(ec.SECP384R1())) for _ in range(2))
    ring = KeyRing([new.public, old.public])
    for key in (old, new):
        assert ring.verify(key.sign({"sub": "x"})) == {"sub": "x"}
    assert KeyRing([new.public]).verify(old.sign({"sub": "x"})) is None


def test_keys_are_read_from_private_public_and_certificate(key_file: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = load_signing_key(key_file.read_bytes())
    key = rsa.generate_private_key(65537, 2048).public_key()
    public = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    found = load_verifying_keys(key_file.read_bytes() + b"\n" + public)
    assert found == [private.public, VerifyingKey.of(key)]
    assert found[1].algorithm == "RS256"
    with pytest.raises(BadKeyError):
        load_verifying_keys(b"nothing")
    with pytest.raises(BadKeyError):
        load_signing_key(public)


# ---- what pods are given ----


async def test_a_pod_is_given_its_token(server: InProcessServer) -> None:
    account = {
        "metadata": {"name": "a", "namespace": "default"},
        "imagePullSecrets": [{"name": "r"}],
    }
    server.put(SERVICE_ACCOUNTS, account)
    made = await server.client().create(
        PODS,
        {
            "metadata": {"name": "p"},
            "spec": {
                "serviceAccountName": "a",
                "containers": [{"name": "c", "image": "i"}],
                "initContainers": [{"name": "i", "image": "i"}],
            },
        },
        "default",
    )
    spec = made["spec"]
    assert spec["imagePullSecrets"] == [{"name": "r"}]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert volume["projected"]["sources"][0] == {
        "serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}
    }
    mount = {
        "name": volume["name"],
        "readOnly": True,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    }
    assert spec["containers"][0]["volumeMounts"] == [mount]
    assert spec["initContainers"][0]["volumeMounts"] == [mount]


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [(None, None, True), (False, None, False), (None, False, False), (True, False, True)],
)
async def test_the_pod_decides_before_its_account(
    server: InProcessServer, of_pod: bool | None, of_account: bool | None, mounted: bool
) -> None:
    account: Obj = {"metadata": {"name": "a", "namespace": "default"}}
    if of_account is not None:
        account["automountServiceAccountToken"] = of_account
    server.put(SERVICE_ACCOUNTS, account)
    spec: Obj = {"serviceAccountName": "a", "containers": [{"name": "c", "image": "i"}]}
    if of_pod is not None:
        spec["automountServiceAccountToken"] = of_pod
    made = await server.client().create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert bool(made["spec"].get("volumes")) is mounted


async def test_a_pod_of_nobody_is_refused(server: InProcessServer) -> None:
    spec = {"serviceAccountName": "none", "containers": [{"name": "c", "image": "i"}]}
    with pytest.raises(Forbidden) as refused:
        await server.client().create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert refused.value.message == (
        'pods "p" is forbidden: error looking up service account default/none: serviceaccount '
        '"none" not found'
    )
