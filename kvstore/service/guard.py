"""Who calls, and what of that may be done here and now.

Every use case takes the `caller` of the call it serves: what `CallContext` gives of a client's request, or `SYSTEM` for
what the member does on its own account. No caller is nobody, so that a use case which forgets to pass one on is
refused as soon as authentication is on, never let through.

Writes are only labelled here (`sign`); the state machine decides on them when it applies them (`machine.access`). Reads
are decided here, right before the local state is read, with no wait between the two. As long as authentication is off
all of it costs one look at `is_enabled`.
"""

import hashlib
import hmac
from typing import Protocol

from kvstore.auth.errors import AuthError, InvalidAuthToken
from kvstore.auth.store import NOBODY, AuthStore, Identity
from kvstore.auth.tokens import Tokens
from kvstore.lease.lessor import Lessor
from kvstore.machine import access
from kvstore.machine.commands import Plain, Signed, Txn

TOKEN_HEADERS = ("token", "authorization")
"""Where a token comes: etcd's clients send the first, its JSON gateway passes the second on."""

GATEWAY_HEADER = "grpcgateway-accept"
"""Marks calls that a gateway makes for others: its own certificate must not speak for them."""


class Caller(Protocol):
    """What is known of whoever calls."""

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name."""
        ...

    @property
    def common_name(self) -> str:
        """The common name of the client's verified certificate; empty without one."""
        ...


class _System:
    """The member itself."""

    common_name = ""

    def metadata(self, name: str) -> str | None:
        """None: this is no call."""
        return None


SYSTEM: Caller = _System()
"""The caller of what members do on their own account; may do everything."""


class _Known:
    """A caller who was identified already."""

    common_name = ""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def metadata(self, name: str) -> str | None:
        """None: its headers have done what they can."""
        return None


class Vouched:
    """A caller whom another member claims to have identified, for one lease. Looked at when it must be known."""

    common_name = ""

    def __init__(self, claim: str, lease_id: int) -> None:
        self.claim = claim
        self.lease_id = lease_id

    def metadata(self, name: str) -> str | None:
        """None: its headers stayed with the other member."""
        return None


class Guard:
    """Identifies callers and checks what they read. All checks raise AuthError, and none if authentication is off."""

    def __init__(
        self, auth: AuthStore, lessor: Lessor, tokens: Tokens, *, trusts_certificates: bool
    ) -> None:
        self.auth = auth
        self._lessor = lessor
        self._tokens = tokens
        self._trusts_certificates = trusts_certificates

    @property
    def is_enabled(self) -> bool:
        """Whether authentication is on, as far as this member has applied the log."""
        return self.auth.is_enabled

    async def identify(self, caller: Caller | None) -> Identity:
        """Who calls; NOBODY without credentials. Raises InvalidAuthToken for bad ones."""
        if caller is None:
            return NOBODY
        if isinstance(caller, _Known):
            return caller.identity
        if isinstance(caller, Vouched):
            return self._open(caller)
        for header in TOKEN_HEADERS:
            token = caller.metadata(header)
            if token is not None:
                found = await self._tokens.identify(token, self.auth.revision)
                if found is None:
                    raise InvalidAuthToken
                return found
        if (
            self._trusts_certificates
            and caller.common_name
            and caller.metadata(GATEWAY_HEADER) is None
        ):
            return Identity(caller.common_name, self.auth.revision)
        return NOBODY

    async def sign(self, command: Plain, caller: Caller | None) -> Signed:
        """The command with its caller's name on it."""
        if caller is SYSTEM:
            return Signed(command, is_system=True)
        who = await self.identify(caller)
        return Signed(command, who.user, who.revision)

    async def require_user(self, caller: Caller | None) -> Caller | None:
        """Raise unless the caller is one of the users; the same caller, who need not be identified again."""
        if not self.is_enabled or caller is SYSTEM:
            return caller
        who = await self.identify(caller)
        _raise(self.auth.check_user(who))
        return _Known(who)

    async def require_admin(self, caller: Caller | None) -> None:
        """Raise unless the caller has the root role."""
        if self.is_enabled and caller is not SYSTEM:
            _raise(self.auth.check_admin(await self.identify(caller)))

    async def check_range(self, caller: Caller | None, key: bytes, range_end: bytes) -> None:
        """Raise unless the caller may read the whole range."""
        if self.is_enabled and caller is not SYSTEM:
            _raise(self.auth.check_range(await self.identify(caller), key, range_end))

    async def check_txn(self, caller: Caller | None, txn: Txn) -> None:
        """Raise unless the caller may do all that `txn` and the transactions in it may do."""
        if self.is_enabled and caller is not SYSTEM:
            who = await self.identify(caller)
            _raise(access.txn_refusal(self.auth, self._lessor, who, txn))

    async def check_lease(
        self, caller: Caller | None, lease_id: int, *, is_write: bool = False, has_keys: bool = True
    ) -> None:
        """Raise unless the caller is a user, and (`has_keys`) may read or write every key on the lease."""
        if not self.is_enabled or caller is SYSTEM:
            return
        who = await self.identify(caller)
        _raise(self.auth.check_user(who))
        if has_keys:
            _raise(
                access.lease_keys_refusal(self.auth, self._lessor, who, lease_id, is_write=is_write)
            )

    async def check_leases(self, caller: Caller | None) -> None:
        """Raise unless the caller may read every key that hangs on any lease."""
        if not self.is_enabled or caller is SYSTEM:
            return
        who = await self.identify(caller)
        _raise(self.auth.check_user(who))
        for lease_id in self._lessor.leases:
            _raise(
                access.lease_keys_refusal(self.auth, self._lessor, who, lease_id, is_write=False)
            )

    async def vouch(self, caller: Caller | None, lease_id: int) -> str:
        """What to tell another member (`Vouched`) of who calls, for this lease only; empty if it need not know."""
        if not self.is_enabled:
            return ""
        who = await self.identify(caller)
        return f"{self._seal(who, lease_id)}:{who.revision}:{who.user}"

    def _open(self, vouched: Vouched) -> Identity:
        seal, _, rest = vouched.claim.partition(":")
        revision, _, user = rest.partition(":")
        if not (revision.isascii() and revision.isdigit()) or len(revision) > 20:
            raise InvalidAuthToken
        who = Identity(user, int(revision))
        # Both as bytes: the function refuses text that is not ASCII.
        wanted = self._seal(who, vouched.lease_id).encode()
        if not self.auth.secret or not hmac.compare_digest(seal.encode(), wanted):
            raise InvalidAuthToken
        return who

    def _seal(self, who: Identity, lease_id: int) -> str:
        text = f"{lease_id}:{who.revision}:{who.user}".encode()
        return hmac.new(self.auth.secret, text, hashlib.sha256).hexdigest()


def _raise(refusal: AuthError | None) -> None:
    if refusal is not None:
        raise refusal
