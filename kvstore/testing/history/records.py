"""The facts of a history: requests, replies, outcomes, and the records that hold them.

Frozen values with etcd's names, and values of their own even where `kvstore.client` has a like one: the checkers share
nothing with the store, and a history of etcd itself can be checked just as well.
"""

import msgspec


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    pass


class KeyValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key at one revision."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


# -- requests


class Put(_Value, frozen=True, omit_defaults=True, tag="put"):
    """Write a key."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class Range(_Value, frozen=True, omit_defaults=True, tag="range"):
    """Read `[key, range_end)`; etcd's rules and enum numbers. Empty `range_end` is one key, b"\\0" all from `key`."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: int = 0
    sort_target: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class DeleteRange(_Value, frozen=True, omit_defaults=True, tag="delete"):
    """Delete `[key, range_end)`."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition. target: version, create, mod, value or lease; operator: one of = != < >. `value` is for values."""

    key: bytes
    target: str
    operator: str
    number: int = 0
    value: bytes = b""
    range_end: bytes = b""


class Txn(_Value, frozen=True, omit_defaults=True, tag="txn"):
    """If all compares hold then `success`, else `failure`."""

    compares: tuple[Compare, ...] = ()
    success: tuple["Put | Range | DeleteRange | Txn", ...] = ()
    failure: tuple["Put | Range | DeleteRange | Txn", ...] = ()


class Compact(_Value, frozen=True, omit_defaults=True, tag="compact"):
    """Forget what was superseded before `revision`."""

    revision: int
    physical: bool = False


class LeaseGrant(_Value, frozen=True, omit_defaults=True, tag="lease_grant"):
    """Begin a lease; id 0: the server chooses."""

    ttl: int
    id: int = 0


class LeaseRevoke(_Value, frozen=True, omit_defaults=True, tag="lease_revoke"):
    """End a lease and its keys."""

    id: int


class LeaseKeepAlive(_Value, frozen=True, omit_defaults=True, tag="lease_keep_alive"):
    """Renew a lease once."""

    id: int


class LeaseTimeToLive(_Value, frozen=True, omit_defaults=True, tag="lease_time_to_live"):
    """Ask what is left of a lease."""

    id: int
    keys: bool = False


class LeaseLeases(_Value, frozen=True, omit_defaults=True, tag="lease_leases"):
    """Ask for all leases."""


class Lock(_Value, frozen=True, omit_defaults=True, tag="lock"):
    """Acquire the lock `name`; the reply is a `LockReply`."""

    name: bytes
    lease: int = 0


class Unlock(_Value, frozen=True, omit_defaults=True, tag="unlock"):
    """Let go of the lock that `key` (of the `LockReply`) stands for."""

    key: bytes


class Guarded(_Value, frozen=True, omit_defaults=True, tag="guarded"):
    """Use of what the lock `name` protects, by the holder of fencing `token`; Failed: the resource refused it."""

    name: bytes
    token: int


Op = Put | Range | DeleteRange | Txn
Request = (
    Put
    | Range
    | DeleteRange
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseKeepAlive
    | LeaseTimeToLive
    | LeaseLeases
    | Lock
    | Unlock
    | Guarded
)


# -- replies


class PutReply(_Value, frozen=True, omit_defaults=True, tag="put"):
    """A put that happened."""

    prev_kv: KeyValue | None = None


class RangeReply(_Value, frozen=True, omit_defaults=True, tag="range"):
    """Keys; `count` ignores the limit."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0
    more: bool = False


class DeleteReply(_Value, frozen=True, omit_defaults=True, tag="delete"):
    """How many keys went."""

    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class TxnReply(_Value, frozen=True, omit_defaults=True, tag="txn"):
    """Which branch ran, and its replies in order."""

    succeeded: bool
    responses: tuple["PutReply | RangeReply | DeleteReply | TxnReply", ...] = ()


class LeaseReply(_Value, frozen=True, omit_defaults=True, tag="lease"):
    """A lease granted, renewed or looked at; `ttl` in seconds, -1: there is none."""

    id: int
    ttl: int = 0
    granted_ttl: int = 0
    keys: tuple[bytes, ...] = ()


class LeasesReply(_Value, frozen=True, omit_defaults=True, tag="leases"):
    """All leases."""

    ids: tuple[int, ...] = ()


class LockReply(_Value, frozen=True, omit_defaults=True, tag="lock"):
    """The lock is held: its key, and the fencing token (the key's create revision)."""

    key: bytes
    token: int


class EmptyReply(_Value, frozen=True, omit_defaults=True, tag="empty"):
    """Done, nothing to say (compact, revoke, unlock, guarded)."""


OpReply = PutReply | RangeReply | DeleteReply | TxnReply
Reply = (
    PutReply
    | RangeReply
    | DeleteReply
    | TxnReply
    | LeaseReply
    | LeasesReply
    | LockReply
    | EmptyReply
)


# -- outcomes


class Ok(_Value, frozen=True, omit_defaults=True, tag="ok"):
    """Done. `revision` is the answer's header revision, `member` and `term` who said so (0: not recorded)."""

    revision: int
    reply: Reply = EmptyReply()
    member: int = 0
    term: int = 0


class Failed(_Value, frozen=True, omit_defaults=True, tag="failed"):
    """Surely not done. `error` is the error's class name in `kvstore.client.errors`, e.g. "Compacted"."""

    error: str
    message: str = ""


class Unknown(_Value, frozen=True, omit_defaults=True, tag="unknown"):
    """Perhaps done, perhaps not, perhaps later: deadline, broken connection, client gone."""

    error: str = ""
    message: str = ""


Outcome = Ok | Failed | Unknown


# -- records


class Operation(_Value, frozen=True, omit_defaults=True, tag="operation"):
    """One request of one client. `returned` is when the client learnt the outcome; `member` whom it asked last."""

    id: int
    client: str
    request: Request
    called: float
    returned: float
    outcome: Outcome
    member: str = ""

    @property
    def kind(self) -> str:
        """put, range, delete, txn, compact, lease_grant, …"""
        return str(self.request.__struct_config__.tag)


class WatchRecord(_Value, frozen=True, omit_defaults=True, tag="watch"):
    """A watch session began: one watch on one stream. `resumes` is the id of the session it goes on for, 0: none.

    `start_revision` is what was sent; 0 means from now on.
    """

    id: int
    client: str
    time: float
    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    progress_notify: bool = False
    fragment: bool = False
    no_put: bool = False
    no_delete: bool = False
    resumes: int = 0
    member: str = ""


class WatchEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change; `kind` is PUT or DELETE. The `kv` of a deletion has only key and mod_revision."""

    kind: str
    kv: KeyValue
    prev_kv: KeyValue | None = None


class WatchResponse(_Value, frozen=True, omit_defaults=True, tag="watch_response"):
    """What a session received, in order. `kind`: created, events, progress, canceled, or broken (the stream ended).

    `revision` is the header's. `fragment`: more of the same response follows.
    """

    watch: int
    time: float
    kind: str
    revision: int = 0
    events: tuple[WatchEvent, ...] = ()
    fragment: bool = False
    compact_revision: int = 0
    reason: str = ""


class LeaderRecord(_Value, frozen=True, omit_defaults=True, tag="leader"):
    """`member` leads in `term`, as seen at `time`; `is_leader` False: it stepped down."""

    time: float
    member: str
    term: int
    is_leader: bool = True


class FaultRecord(_Value, frozen=True, omit_defaults=True, tag="fault"):
    """A fault begins or (`is_on` False) ends; `kind` kill, pause, partition, disk, clock, network, …"""

    time: float
    kind: str
    targets: tuple[str, ...] = ()
    is_on: bool = True
    detail: str = ""


class MemberRecord(_Value, frozen=True, omit_defaults=True, tag="member"):
    """A member's process changed `state`: started, ready, killed, stopped, paused, resumed."""

    time: float
    member: str
    state: str


class DigestRecord(_Value, frozen=True, omit_defaults=True, tag="digest"):
    """`member` has `hash` over its keys and history up to `revision` (etcd's HashKV)."""

    time: float
    member: str
    revision: int
    hash: int
    compact_revision: int = 0


class StartRecord(_Value, frozen=True, omit_defaults=True, tag="start"):
    """What was there before the first operation, if the history does not begin with an empty store."""

    time: float
    revision: int
    kvs: tuple[KeyValue, ...] = ()
    compact_revision: int = 0
    leases: tuple[int, ...] = ()


class Note(_Value, frozen=True, omit_defaults=True, tag="note"):
    """Anything worth a line in the timeline."""

    time: float
    text: str
    member: str = ""


NodeRecord = LeaderRecord | FaultRecord | MemberRecord | DigestRecord | StartRecord | Note
Record = Operation | WatchRecord | WatchResponse | NodeRecord
