"""What applying a command yields: a reply for whoever asked, events for watchers, effects for the shell.

Replies carry errors as values (`StoreError` of mvcc and `AuthError` of auth), so that apply never raises for bad
input. Effects tell the shell (the lease clock, the token table) what changed; they are facts, not requests.
"""

from dataclasses import dataclass

import msgspec

from kvstore.auth.errors import AuthError
from kvstore.mvcc.errors import StoreError
from kvstore.mvcc.kv import Event as Event
from kvstore.mvcc.kv import KeyValue as KeyValue


@dataclass(frozen=True, slots=True)
class PutReply:
    """`prev_kv` only if asked for and there was one."""

    prev_kv: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class DeleteRangeReply:
    """How many keys went, and their last versions if asked for."""

    deleted: int
    prev_kvs: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True)
class RangeReply:
    """`count` is all keys in the range, before the limit; `more` whether the limit cut."""

    kvs: tuple[KeyValue, ...]
    count: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class TxnReply:
    """Replies of the branch that ran, in order."""

    succeeded: bool
    responses: tuple["OpReply", ...] = ()


@dataclass(frozen=True, slots=True)
class CompactReply:
    """Compaction was recorded."""


@dataclass(frozen=True, slots=True)
class LeaseGrantReply:
    """The lease as granted."""

    id: int
    ttl: int


@dataclass(frozen=True, slots=True)
class LeaseRevokeReply:
    """The lease is gone."""


@dataclass(frozen=True, slots=True)
class LeaseCheckpointReply:
    """Remaining times were recorded."""


@dataclass(frozen=True, slots=True)
class AlarmReply:
    """Alarms touched: (member_id, alarm)."""

    alarms: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MemberAttributesReply:
    """The member's name and addresses were recorded."""


@dataclass(frozen=True, slots=True)
class AuthReply:
    """Users, roles or the switch were changed as asked."""


@dataclass(frozen=True, slots=True)
class AuthenticateReply:
    """The login is good. `token` is empty unless the command brought a prefix for one."""

    token: str
    auth_revision: int


@dataclass(frozen=True, slots=True)
class MemberPeerUrlsReply:
    """The member's peer addresses were recorded."""


@dataclass(frozen=True, slots=True)
class DowngradeReply:
    """The downgrade was recorded."""


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
    | AuthReply
    | AuthenticateReply
    | StoreError
    | AuthError
)


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """Effect: a lease began."""

    id: int
    ttl: int


@dataclass(frozen=True, slots=True)
class LeaseRevoked:
    """Effect: a lease ended."""

    id: int


@dataclass(frozen=True, slots=True)
class LeaseCheckpointed:
    """Effect: a lease has `remaining` seconds by its leader's clock."""

    id: int
    remaining: int


@dataclass(frozen=True, slots=True)
class CompactedTo:
    """Effect: history before `revision` is gone."""

    revision: int


@dataclass(frozen=True, slots=True)
class TokenAssigned:
    """Effect: from now on `token` stands for `user`."""

    token: str
    user: str


@dataclass(frozen=True, slots=True)
class TokensVoid:
    """Effect: tokens of `user` are worth nothing from now on; an empty name means everybody's."""

    user: str = ""


@dataclass(frozen=True, slots=True)
class PeersMoved:
    """Effect: members have other peer addresses."""


Effect = (
    LeaseGranted
    | LeaseRevoked
    | LeaseCheckpointed
    | CompactedTo
    | TokenAssigned
    | TokensVoid
    | PeersMoved
)


class Outcome(msgspec.Struct, frozen=True):
    """Result of one command. `revision` is the store's revision right after it; all `events` share it."""

    reply: Reply
    revision: int
    events: tuple[Event, ...] = ()
    effects: tuple[Effect, ...] = ()
