"""Commands of the state machine: frozen structs, msgpack on the wire and in the log.

Array-like with a tag, so that a put is its field values and no names. Fields are only ever appended, with defaults:
an old log stays readable. Defaults are etcd's zero values. No clock and no chance: ids and times are chosen by the
proposer and travel inside the command.
"""

import msgspec

from kvstore.machine.auth_commands import (
    AuthDisable,
    AuthEnable,
    Authenticate,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)

MAX_TXN_DEPTH = 64
"""How deep transactions may nest. What applies them is recursive, and a crash there would repeat on every member."""


class Put(msgspec.Struct, frozen=True, array_like=True, tag="p", gc=False):
    """Write `key`. `lease` 0 means none. With `ignore_*` the current value or lease is kept."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRange(msgspec.Struct, frozen=True, array_like=True, tag="d", gc=False):
    """Delete `[key, range_end)`; `range_end` empty = that key, b"\\0" = from `key` on (etcd's rules)."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Range(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """Read `[key, range_end)`. `revision` 0 = newest. Sort numbers are etcd's enums.

    sort_order: 0 none, 1 ascend, 2 descend. sort_target: 0 key, 1 version, 2 create, 3 mod, 4 value.
    """

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: int = 0
    sort_target: int = 0
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One condition. target: 0 version, 1 create, 2 mod, 3 value, 4 lease. result: 0 =, 1 >, 2 <, 3 !=.

    `number` serves all targets but value, which has `value`.
    """

    target: int
    result: int
    key: bytes
    range_end: bytes = b""
    number: int = 0
    value: bytes = b""


class Txn(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """If all `compares` hold then `success` else `failure`; all of it is one revision. May nest."""

    compares: tuple[Compare, ...] = ()
    success: tuple["Range | Put | DeleteRange | Txn", ...] = ()
    failure: tuple["Range | Put | DeleteRange | Txn", ...] = ()


class Compact(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """Forget all history before `revision`."""

    revision: int
    physical: bool = False


class LeaseGrant(msgspec.Struct, frozen=True, array_like=True, tag="lg"):
    """Create lease `id` (never 0 here: the proposer chose it) with `ttl` seconds (at least 1)."""

    id: int
    ttl: int


class LeaseRevoke(msgspec.Struct, frozen=True, array_like=True, tag="lr"):
    """End lease `id` and delete its keys, all in one revision."""

    id: int


class LeaseCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="lc"):
    """Remaining TTL in seconds by lease, so that a new leader does not start from the whole TTL."""

    remaining: tuple[tuple[int, int], ...]


class Alarm(msgspec.Struct, frozen=True, array_like=True, tag="al"):
    """action: 1 activate, 2 deactivate. alarm: 1 NOSPACE, 2 CORRUPT (etcd's enums)."""

    action: int
    member_id: int
    alarm: int


class MemberAttributes(msgspec.Struct, frozen=True, array_like=True, tag="ma"):
    """Where clients reach member `member_id`, and its name; the last one said wins. Kept in `machine.members`.

    Each member proposes its own at start, so that every member can list all and forward lease calls to the leader.
    """

    member_id: int
    name: str
    client_urls: tuple[str, ...] = ()


class MemberPeerUrls(msgspec.Struct, frozen=True, array_like=True, tag="mu"):
    """Where other members reach member `member_id` from now on, instead of where its first start said."""

    member_id: int
    peer_urls: tuple[str, ...]


class Downgrade(msgspec.Struct, frozen=True, array_like=True, tag="dg"):
    """A downgrade of the cluster to `version` is under way; empty = none is."""

    version: str = ""


class DigestClaim(msgspec.Struct, frozen=True, array_like=True, tag="dc"):
    """Member `author` has hash `digest` for its state at `revision`, compacted at `compact_revision`.

    A question to all if it is also the `asker`, else an answer to that member. Changes nothing.
    """

    asker: int
    author: int
    revision: int
    compact_revision: int
    digest: int


Op = Range | Put | DeleteRange | Txn
Plain = (
    Put
    | DeleteRange
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseCheckpoint
    | Alarm
    | MemberAttributes
    | MemberPeerUrls
    | Downgrade
    | DigestClaim
    | AuthEnable
    | AuthDisable
    | Authenticate
    | UserAdd
    | UserDelete
    | UserChangePassword
    | UserGrantRole
    | UserRevokeRole
    | RoleAdd
    | RoleDelete
    | RoleGrantPermission
    | RoleRevokePermission
)
"""All commands but the envelope."""


class Signed(msgspec.Struct, frozen=True, array_like=True, tag="as"):
    """`command` with who wants it: a user, known at `auth_revision`, or (`is_system`) a member itself.

    While authentication is on, a command without this envelope is nobody's. Members wrap what they propose on their
    own account always: authentication may be turned on by an entry that comes before it in the log.
    """

    command: Plain
    user: str = ""
    auth_revision: int = 0
    is_system: bool = False


Command = Plain | Signed

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


def is_too_deep(txn: Txn, limit: int = MAX_TXN_DEPTH) -> bool:
    """Whether transactions nest deeper than `limit`, on any branch; itself safe at any depth."""
    level: list[Txn] = [txn]
    for _ in range(limit):
        level = [op for one in level for op in one.success + one.failure if isinstance(op, Txn)]
        if not level:
            return False
    return True


def encode(command: Command) -> bytes:
    """The command's bytes for the log. Raises ValueError for a transaction nested too deep."""
    inner = command.command if isinstance(command, Signed) else command
    if isinstance(inner, Txn) and is_too_deep(inner):
        raise ValueError(f"transactions nest deeper than {MAX_TXN_DEPTH}")
    return _encoder.encode(command)


def decode(data: bytes) -> Command:
    """The command in `data`; raises msgspec.DecodeError on anything else."""
    return _decoder.decode(data)
