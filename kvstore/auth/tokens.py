"""Tokens: what a client shows after it has logged in.

Two kinds, chosen by `--auth-token` as in etcd. A *simple* token is a random name that every member remembers, because
the login goes through the log; each member forgets it when it was not shown there for `ttl`. A *JWT* is signed and
needs no memory: it names the user and the auth revision at which it was made, and any change of users or roles makes
it old. Neither kind survives what makes it void: a deleted user, another password, authentication turned off.

Source of the details: etcd 3.5, server/auth/simple_token.go, jwt.go and options.go, read as the specification.
"""

import asyncio
import math
import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import msgspec

from kvstore.auth.errors import TokenSigning
from kvstore.auth.store import Identity
from kvstore.base.clock import Clock
from kvstore.base.durations import parse_duration

DEFAULT_TTL_SECONDS = 300.0
_PREFIX_LENGTH = 16
_LETTERS = string.ascii_letters
_OPTIONS = ("sign-method", "pub-key", "priv-key", "ttl")
_METHODS = frozenset(
    {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    | {"ES256", "ES384", "ES512", "EdDSA"}
)


class TokenSettings(msgspec.Struct, frozen=True):
    """What `--auth-token` says. `kind` is "simple", "jwt", or "" for no tokens at all."""

    kind: str = "simple"
    ttl_seconds: float = DEFAULT_TTL_SECONDS
    sign_method: str = ""
    verify_key: Any = None
    sign_key: Any = None
    """None: tokens can be checked, not made."""

    unknown_options: tuple[str, ...] = ()


class Tokens(Protocol):
    """Either kind."""

    def new_prefix(self) -> str:
        """The random part of a token that members are to remember; empty if there is none."""
        ...

    def issue(self, user: str, revision: int) -> str:
        """A token that needs no memory; empty if this kind does. Raises TokenSigning."""
        ...

    async def identify(self, token: str, revision: int) -> Identity | None:
        """The user whose token this is, if it is valid at auth revision `revision`; None if it is not."""
        ...


class SimpleTokens:
    """Tokens by memory. `applied_index` tells how much of the log this member has seen."""

    def __init__(
        self,
        clock: Clock,
        applied_index: Callable[[], int],
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        wait_seconds: float = 5.0,
    ) -> None:
        self._clock = clock
        self._applied_index = applied_index
        self._ttl = ttl_seconds
        self._wait = wait_seconds
        # Insertion order is order of deadlines, for all live equally long and renewal moves to the end.
        self._tokens: dict[str, tuple[str, float]] = {}
        self._waiters: dict[asyncio.Future[None], int] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def new_prefix(self) -> str:
        """16 random letters, as etcd's."""
        return "".join(secrets.choice(_LETTERS) for _ in range(_PREFIX_LENGTH))

    def issue(self, user: str, revision: int) -> str:
        """Empty: the log gives these out."""
        return ""

    def assign(self, token: str, user: str) -> None:
        """Remember `token`: it went through the log."""
        self._forget_old()
        self._tokens[token] = (user, self._clock.monotonic() + self._ttl)

    def forget(self, user: str = "") -> None:
        """Forget the tokens of `user`; an empty name means all."""
        gone = [token for token, (name, _) in self._tokens.items() if user in ("", name)]
        for token in gone:
            del self._tokens[token]

    def on_progress(self) -> None:
        """More of the log was applied: let those look again who waited for it."""
        if self._waiters:
            index = self._applied_index()
            for waiter, wanted in list(self._waiters.items()):
                if wanted <= index and not waiter.done():
                    waiter.set_result(None)

    async def identify(self, token: str, revision: int) -> Identity | None:
        """The user whose token this is; its use prolongs it. Waits a while if this member lags behind the login."""
        prefix, dot, text = token.rpartition(".")
        if not dot or not prefix or not (text.isascii() and text.isdigit()) or len(text) > 20:
            return None
        if int(text) > self._applied_index() and not await self._reached(int(text)):
            return None
        self._forget_old()
        found = self._tokens.pop(token, None)
        if found is None:
            return None
        self._tokens[token] = (found[0], self._clock.monotonic() + self._ttl)
        return Identity(found[0], revision)

    async def _reached(self, index: int) -> bool:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = index
        try:
            async with asyncio.timeout(self._wait):
                await waiter
        except TimeoutError:
            return False
        finally:
            del self._waiters[waiter]
        return True

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._tokens:
            token = next(iter(self._tokens))
            if self._tokens[token][1] > now:
                return
            del self._tokens[token]


class JwtTokens:
    """Tokens by signature."""

    def __init__(self, settings: TokenSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def new_prefix(self) -> str:
        """Empty: such tokens are checked by their signature, no member keeps them."""
        return ""

    def issue(self, user: str, revision: int) -> str:
        """A signed token. Raises TokenSigning without a private key."""
        if self._settings.sign_key is None:
            raise TokenSigning
        # Here and below: most members sign nothing, and a fifth of a member's imports would be for it.
        import jwt

        expires = int(self._clock.time() + self._settings.ttl_seconds)
        claims = {"username": user, "revision": revision, "exp": expires}
        return jwt.encode(claims, self._settings.sign_key, self._settings.sign_method)

    async def identify(self, token: str, revision: int) -> Identity | None:
        """Who the token names, at the revision it names."""
        import jwt

        try:
            # Its times are checked below, by our clock.
            claims = jwt.decode(
                token,
                self._settings.verify_key,
                algorithms=[self._settings.sign_method],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
        except (jwt.PyJWTError, ValueError):
            return None
        now = self._clock.time()
        user, made_at = claims.get("username"), claims.get("revision")
        expires, begins = claims.get("exp", now + 1), claims.get("nbf", now)
        if not (_is_number(made_at) and _is_number(expires) and _is_number(begins)):
            return None
        if not isinstance(user, str) or now >= expires or now < begins:
            return None
        return Identity(user, int(made_at))


class NoTokens:
    """`--auth-token ''`: certificates alone say who somebody is."""

    def new_prefix(self) -> str:
        """Empty."""
        return ""

    def issue(self, user: str, revision: int) -> str:
        """Empty."""
        return ""

    async def identify(self, token: str, revision: int) -> Identity | None:
        """Nobody."""
        return None


def parse_settings(text: str, ttl_seconds: float = DEFAULT_TTL_SECONDS) -> TokenSettings:
    """What `--auth-token` says: `simple`, or `jwt,` and options as `name=value`. Raises ValueError."""
    kind, *pairs = text.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise ValueError(f"{pair!r} is not of the form name=value")
        if name in options:
            raise ValueError(f"{name} is given twice")
        options[name] = value
    if kind == "jwt":
        return _jwt_settings(options)
    if kind not in ("simple", ""):
        raise ValueError(f"{kind!r} is neither 'simple' nor 'jwt'")
    return TokenSettings(kind, ttl_seconds)


def _jwt_settings(options: Mapping[str, str]) -> TokenSettings:
    method = options.get("sign-method", "")
    if method not in _METHODS:
        raise ValueError(f"sign-method {method!r} is not one of {', '.join(sorted(_METHODS))}")
    ttl = parse_duration(options["ttl"]) if options.get("ttl") else DEFAULT_TTL_SECONDS
    private, public = _read(options.get("priv-key", "")), _read(options.get("pub-key", ""))
    if method.startswith("HS"):
        if not private:
            raise ValueError(f"{method} needs priv-key, the shared secret")
        verify_key: Any = private
        sign_key: Any = private
    else:
        verify_key, sign_key = _key_pair(private, public)
    unknown = tuple(sorted(set(options) - set(_OPTIONS)))
    settings = TokenSettings("jwt", ttl, method, verify_key, sign_key, unknown)
    _check_key(settings)
    return settings


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _key_pair(private: bytes, public: bytes) -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    sign_key = serialization.load_pem_private_key(private, None) if private else None
    verify_key: Any = None
    if public:
        if b"BEGIN CERTIFICATE" in public:
            verify_key = x509.load_pem_x509_certificate(public).public_key()
        else:
            verify_key = serialization.load_pem_public_key(public)
    if sign_key is None and verify_key is None:
        raise ValueError("pub-key or priv-key is needed")
    if sign_key is not None:
        own = sign_key.public_key()
        if verify_key is not None and _numbers(own) != _numbers(verify_key):
            raise ValueError("pub-key and priv-key do not belong together")
        verify_key = own
    return verify_key, sign_key


def _numbers(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return bytes(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _check_key(settings: TokenSettings) -> None:
    """Raise ValueError if the key cannot be used with the method, before any client finds out."""
    import jwt

    algorithm = jwt.get_algorithm_by_name(settings.sign_method)
    for key in (settings.verify_key, settings.sign_key):
        if key is not None:
            try:
                algorithm.prepare_key(key)
            except (jwt.InvalidKeyError, TypeError, ValueError) as error:
                raise ValueError(f"the key does not fit {settings.sign_method}: {error}") from error


def _is_number(value: object) -> TypeGuard[int | float]:
    # Python reads NaN and Infinity from JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def make(
    settings: TokenSettings, clock: Clock, applied_index: Callable[[], int], wait_seconds: float
) -> SimpleTokens | JwtTokens | NoTokens:
    """Tokens of the kind that is set."""
    if settings.kind == "jwt":
        return JwtTokens(settings, clock)
    if settings.kind == "simple":
        return SimpleTokens(
            clock, applied_index, ttl_seconds=settings.ttl_seconds, wait_seconds=wait_seconds
        )
    return NoTokens()
