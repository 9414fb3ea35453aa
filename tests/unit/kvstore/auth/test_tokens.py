"""Simple tokens live by use and die by the log; signed ones say what they say."""

import asyncio
import datetime
import json

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kvstore.auth.errors import PasswordTooLong, TokenSigning
from kvstore.auth.passwords import Passwords
from kvstore.auth.store import Identity
from kvstore.auth.tokens import JwtTokens, NoTokens, SimpleTokens, make, parse_settings
from kvstore.base.clock import ManualClock

SECRET = b"0123456789abcdef" * 4


class Log:
    index = 100


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def simple(clock):
    return SimpleTokens(clock, lambda: Log.index, ttl_seconds=300, wait_seconds=0.05)


async def test_a_token_lives_as_long_as_it_is_used(simple, clock):
    simple.assign("a.7", "al")
    for _ in range(3):
        await clock.advance(299)
        assert await simple.identify("a.7", 5) == Identity("al", 5)
    await clock.advance(300)
    assert await simple.identify("a.7", 5) is None
    assert len(simple) == 0


async def test_unused_tokens_are_forgotten_although_nobody_asks_for_them(simple, clock):
    for number in range(50):
        simple.assign(f"a.{number}", "al")
        await clock.advance(10)
    assert len(simple) == 30


async def test_tokens_of_one_user_or_all_can_be_forgotten(simple):
    simple.assign("a.1", "al")
    simple.assign("b.2", "bo")
    simple.forget("al")
    assert await simple.identify("a.1", 5) is None
    assert await simple.identify("b.2", 5) == Identity("bo", 5)
    simple.forget()
    assert await simple.identify("b.2", 5) is None


@pytest.mark.parametrize(
    "token", ["", ".", "a", "a.", ".1", "a.x", "a.-1", "a.1", "a.b.1", "a.²", "a." + "9" * 30]
)
async def test_what_was_never_given_out_says_nothing(simple, token):
    assert await simple.identify(token, 5) is None


async def test_a_member_that_lags_waits_for_the_login(clock):
    applied = 5
    tokens = SimpleTokens(clock, lambda: applied, wait_seconds=5)
    waiting = asyncio.ensure_future(tokens.identify("a.7", 3))
    await asyncio.sleep(0)
    applied = 6
    tokens.on_progress()
    await asyncio.sleep(0)
    assert not waiting.done()
    applied = 7
    tokens.assign("a.7", "al")
    tokens.on_progress()
    assert await waiting == Identity("al", 3)


async def test_a_login_that_never_comes_is_not_waited_for_long(simple):
    assert await simple.identify("a.101", 3) is None
    assert simple._waiters == {}


def test_prefixes_are_sixteen_letters_and_never_the_same(simple):
    made = {simple.new_prefix() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 16 and one.isalpha() and one.isascii() for one in made)
    assert simple.issue("al", 1) == ""


def pem(key) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    made = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "rsa2": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in made.items():
        private, public = pem(key)
        (folder / f"{name}.priv").write_bytes(private)
        (folder / f"{name}.pub").write_bytes(public)
    (folder / "secret").write_bytes(SECRET)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    unsigned = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    certificate = (
        unsigned.public_key(made["rsa"].public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC))
        .sign(made["rsa"], hashes.SHA256())
    )
    (folder / "rsa.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder


MODES = [
    ("HS256", "priv-key={k}/secret"),
    ("RS256", "priv-key={k}/rsa.priv,pub-key={k}/rsa.pub"),
    ("RS512", "priv-key={k}/rsa.priv"),
    ("PS256", "priv-key={k}/rsa.priv,pub-key={k}/rsa.crt"),
    ("ES256", "priv-key={k}/ec.priv,pub-key={k}/ec.pub"),
    ("EdDSA", "priv-key={k}/ed.priv"),
]


@pytest.mark.parametrize(("method", "files"), MODES)
async def test_signed_tokens(keys, clock, method, files):
    text = f"jwt,sign-method={method},ttl=10s," + files.format(k=keys)
    tokens = make(parse_settings(text), clock, lambda: 0, 1.0)
    assert isinstance(tokens, JwtTokens)
    token = tokens.issue("al", 7)
    # The revision now does not matter: the token has its own.
    assert await tokens.identify(token, 9) == Identity("al", 7)
    head, body, seal = token.split(".")
    assert await tokens.identify(f"{head}.{body}.{seal[:-4]}AAAA", 9) is None
    await clock.advance(9)
    assert await tokens.identify(token, 9) is not None
    await clock.advance(1)
    assert await tokens.identify(token, 9) is None
    assert tokens.new_prefix() == ""


async def test_a_public_key_alone_checks_but_cannot_sign(keys, clock):
    signer = make(parse_settings(f"jwt,sign-method=RS256,priv-key={keys}/rsa.priv"), clock, int, 1)
    reader = make(parse_settings(f"jwt,sign-method=RS256,pub-key={keys}/rsa.pub"), clock, int, 1)
    assert await reader.identify(signer.issue("al", 3), 9) == Identity("al", 3)
    with pytest.raises(TokenSigning):
        reader.issue("al", 3)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"username": "al"},
        {"revision": 3},
        {"username": 3, "revision": 3},
        {"username": "al", "revision": "3"},
        {"username": "al", "revision": True},
        {"username": "al", "revision": float("nan")},
        {"username": "al", "revision": float("inf")},
        {"username": "al", "revision": 3, "exp": 1},
        {"username": "al", "revision": 3, "exp": "tomorrow"},
        {"username": "al", "revision": 3, "nbf": 99_000_000_000},
    ],
    ids=json.dumps,
)
async def test_claims_that_do_not_do(keys, clock, claims):
    settings = parse_settings(f"jwt,sign-method=HS256,priv-key={keys}/secret")
    token = jwt.encode(claims, SECRET, "HS256")
    assert await JwtTokens(settings, clock).identify(token, 9) is None


async def test_a_token_of_another_method_or_none_says_nothing(keys, clock):
    settings = parse_settings(f"jwt,sign-method=HS256,priv-key={keys}/secret")
    claims = {"username": "root", "revision": 3}
    tokens = JwtTokens(settings, clock)
    assert await tokens.identify(jwt.encode(claims, SECRET, "HS256"), 9) == Identity("root", 3)
    for token in (
        jwt.encode(claims, SECRET, "HS512"),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, b"another secret of enough length!", "HS256"),
        "no.token",
    ):
        assert await tokens.identify(token, 9) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("magic", "neither 'simple' nor 'jwt'"),
        ("jwt", "sign-method '' is not one of"),
        ("jwt,sign-method=XX1", "sign-method 'XX1' is not one of"),
        ("jwt,sign-method", "not of the form name=value"),
        ("jwt,a=b=c", "not of the form name=value"),
        ("jwt,ttl=1s,ttl=2s", "ttl is given twice"),
        ("jwt,sign-method=HS256", "needs priv-key"),
        ("jwt,sign-method=RS256", "pub-key or priv-key is needed"),
        ("jwt,sign-method=HS256,priv-key={k}/nope", "cannot read"),
        ("jwt,sign-method=RS256,priv-key={k}/secret", "PEM"),
        ("jwt,sign-method=RS256,priv-key={k}/ec.priv", "does not fit RS256"),
        (
            "jwt,sign-method=RS256,priv-key={k}/rsa.priv,pub-key={k}/rsa2.pub",
            "do not belong together",
        ),
        ("jwt,sign-method=HS256,priv-key={k}/secret,ttl=soon", "invalid duration"),
    ],
)
def test_settings_that_do_not_do(keys, text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_settings(text.format(k=keys))


def test_settings(keys):
    assert parse_settings("simple", 7.0).ttl_seconds == 7.0
    settings = parse_settings(f"jwt,sign-method=HS256,priv-key={keys}/secret,colour=red")
    assert (settings.ttl_seconds, settings.unknown_options) == (300.0, ("colour",))


async def test_no_tokens_at_all(clock):
    tokens = make(parse_settings(""), clock, int, 1)
    assert isinstance(tokens, NoTokens)
    assert await tokens.identify("a.1", 3) is None


async def test_passwords():
    passwords = Passwords(4)
    hashed = await passwords.hash("pässword")
    assert hashed.startswith(b"$2b$04$")
    assert await passwords.matches(hashed, "pässword")
    assert not await passwords.matches(hashed, "password")
    assert not await passwords.matches(b"", "password")
    assert not await passwords.matches(b"no hash", "password")
    # As made by Go, whose hashes say 2a.
    assert await passwords.matches(b"$2a$" + hashed[4:], "pässword")
    with pytest.raises(PasswordTooLong):
        await passwords.hash("x" * 73)
    full = await passwords.hash("x" * 72)
    assert await passwords.matches(full, "x" * 72)
    assert not await passwords.matches(full, "x" * 73)
