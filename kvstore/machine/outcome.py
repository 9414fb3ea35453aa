"""What applying a command yields: a reply for whoever asked, events for watchers, effects for the shell.

Replies carry errors as values (`StoreError` of mvcc and `AuthError` of auth), so that apply never raises for bad
input. Effects tell the shell (the lease clock, the token table) what changed; they are facts, not requests.
"""

import msgspec

from kvstore.auth.errors import AuthError
from kvstore.machine.commands import DigestClaim
from kvstore.mvcc.errors import StoreError
from kvstore.mvcc.kv import Event as Event
from kvstore.mvcc.kv import KeyValue as KeyValue


class PutReply(msgspec.Struct, frozen=True):
    """`prev_kv` only if asked for and there was one."""

    prev_kv: KeyValue | None = None


class DeleteRangeReply(msgspec.Struct, frozen=True):
    """How many keys went, and their last versions if asked for."""

    deleted: int
    prev_kvs: tuple[KeyValue, ...] = ()


class RangeReply(msgspec.Struct, frozen=True):
    """`count` is all keys in the range, before the limit; `more` whether the limit cut."""

    kvs: tuple[KeyValue, ...]
    count: int
    more: bool = False


class TxnReply(msgspec.Struct, frozen=True):
    """Replies of the branch that ran, in order."""

    succeeded: bool
    responses: tuple["OpReply", ...] = ()


class CompactReply(msgspec.Struct, frozen=True):
    """Compaction was recorded."""


class LeaseGrantReply(msgspec.Struct, frozen=True):
    """The lease as granted."""

    id: int
    ttl: int


class LeaseRevokeReply(msgspec.Struct, frozen=True):
    """The lease is gone."""


class LeaseCheckpointReply(msgspec.Struct, frozen=True):
    """Remaining times were recorded."""


class AlarmReply(msgspec.Struct, frozen=True):
    """Alarms touched: (member_id, alarm)."""

    alarms: tuple[tuple[int, int], ...] = ()


class MemberAttributesReply(msgspec.Struct, frozen=True):
    """The member's name and addresses were recorded."""


class AuthReply(msgspec.Struct, frozen=True):
    """Users, roles or the switch were changed as asked."""


class AuthenticateReply(msgspec.Struct, frozen=True):
    """The login is good. `token` is empty unless the command brought a prefix for one."""

    token: str
    auth_revision: int


class MemberPeerUrlsReply(msgspec.Struct, frozen=True):
    """The member's peer addresses were recorded."""


class DowngradeReply(msgspec.Struct, frozen=True):
    """The downgrade was recorded."""


class DigestClaimReply(msgspec.Struct, frozen=True):
    """The hash was told."""


OpReply = PutReply | DeleteRangeReply | RangeReply | TxnReply
Reply = (
    OpReply
    | CompactReply
    | LeaseGrantReply
    | LeaseRevokeReply
    | LeaseCheckpointReply
    | AlarmReply
    | MemberAttributesReply
    | MemberPeerUrlsReply
    | DowngradeReply
    | DigestClaimReply
    | AuthReply
    | AuthenticateReply
    | StoreError
    | AuthError
)


class LeaseGranted(msgspec.Struct, frozen=True):
    """Effect: a lease began."""

    id: int
    ttl: int


class LeaseRevoked(msgspec.Struct, frozen=True):
    """Effect: a lease ended."""

    id: int


class LeaseCheckpointed(msgspec.Struct, frozen=True):
    """Effect: a lease has `remaining` seconds by its leader's clock."""

    id: int
    remaining: int


class CompactedTo(msgspec.Struct, frozen=True):
    """Effect: history before `revision` is gone."""

    revision: int


class TokenAssigned(msgspec.Struct, frozen=True):
    """Effect: from now on `token` stands for `user`."""

    token: str
    user: str


class TokensVoid(msgspec.Struct, frozen=True):
    """Effect: tokens of `user` are no longer valid; an empty name means the tokens of all users."""

    user: str = ""


class PeersMoved(msgspec.Struct, frozen=True):
    """Effect: members have other peer addresses."""


class DigestClaimed(msgspec.Struct, frozen=True):
    """Effect: a member asks for hashes, or answers."""

    claim: DigestClaim


Effect = (
    LeaseGranted
    | LeaseRevoked
    | LeaseCheckpointed
    | CompactedTo
    | TokenAssigned
    | TokensVoid
    | PeersMoved
    | DigestClaimed
)


class Outcome(msgspec.Struct, frozen=True):
    """Result of one command. `revision` is the store's revision right after it; all `events` share it."""

    reply: Reply
    revision: int
    events: tuple[Event, ...] = ()
    effects: tuple[Effect, ...] = ()
