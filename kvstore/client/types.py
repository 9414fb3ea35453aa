"""What the client returns and accepts: plain frozen values, no protobuf.

Names follow etcd's messages. Keys and values may be given as text, which is sent as UTF-8; what comes back is bytes.
Every answer carries the `Header` it came with; `revision` is a short way to its revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

Key = bytes | str


def encoded(text: Key) -> bytes:
    """A key or a value as the wire has it."""
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    if isinstance(text, bytearray | memoryview):
        return bytes(text)
    # The wire would take None for "not given", which is an empty value.
    raise TypeError(f"a key or a value is str or bytes, not {type(text).__name__}")


class SortOrder(IntEnum):
    """Order of a range's keys."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """What a range is sorted by."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class AlarmKind(IntEnum):
    """Why a member refuses work."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Files for a TLS connection; an empty path means: not given.

    `ca_file` empty trusts the machine's roots. `cert_file` and `key_file` go together. `server_name` replaces the
    host name that the member's certificate is checked for. `skip_verify` trusts whatever certificate the member shows
    at the first connection: for experiments only.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """Who answered, and at which revision of the store."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key at one revision."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One change: `type` is PUT or DELETE; a deletion's `kv` has only key and mod_revision."""

    type: str
    kv: KeyValue
    prev_kv: KeyValue | None = None

    @property
    def is_create(self) -> bool:
        """True if the key did not exist before."""
        return self.type == "PUT" and self.kv.create_revision == self.kv.mod_revision


@dataclass(frozen=True, slots=True)
class Answer:
    """What all answers have."""

    header: Header

    @property
    def revision(self) -> int:
        """The store's revision when the request was served."""
        return self.header.revision


@dataclass(frozen=True, slots=True)
class RangeResult(Answer):
    """Keys of a range; `count` ignores the limit."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class PutResult(Answer):
    """A put; `prev_kv` only where asked for and the key existed."""

    prev_kv: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class DeleteResult(Answer):
    """A deletion and how many keys it took."""

    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True)
class TxnResult(Answer):
    """A transaction: which branch ran, and its results in order."""

    succeeded: bool = False
    responses: "tuple[OpResult, ...]" = ()

    def range(self, index: int) -> RangeResult:
        """The result at `index`, which must be that of an `OpGet`; TypeError otherwise."""
        result = self.responses[index]
        if not isinstance(result, RangeResult):
            raise TypeError(f"response {index} is a {type(result).__name__}, not a RangeResult")
        return result


OpResult = RangeResult | PutResult | DeleteResult | TxnResult


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction. `target` is version, create, mod, value or lease; `operator` one of = != < >."""

    key: Key
    target: str
    operator: str
    operand: int | Key
    range_end: Key = b""


@dataclass(frozen=True, slots=True)
class OpGet:
    """A range; as a request of its own or in a transaction. Empty `range_end` is one key."""

    key: Key
    range_end: Key = b""
    limit: int = 0
    revision: int = 0
    keys_only: bool = False
    count_only: bool = False
    serializable: bool = False
    sort_order: SortOrder = SortOrder.NONE
    sort_target: SortTarget = SortTarget.KEY
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


@dataclass(frozen=True, slots=True)
class OpPut:
    """A put."""

    key: Key
    value: Key
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


@dataclass(frozen=True, slots=True)
class OpDelete:
    """A deletion of one key, or of `[key, range_end)`."""

    key: Key
    range_end: Key = b""
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class OpTxn:
    """A transaction within a transaction."""

    compares: "Sequence[Compare]" = ()
    success: "Sequence[Op]" = ()
    failure: "Sequence[Op]" = ()


Op = OpGet | OpPut | OpDelete | OpTxn


@dataclass(frozen=True, slots=True)
class WatchBatch(Answer):
    """Whole revisions of events, oldest first; none: a progress mark.

    All changes up to `revision` have been delivered; the header's own may lie above while a watch catches up.
    """

    events: tuple[Event, ...] = ()

    @property
    def revision(self) -> int:
        """Up to here nothing is missing."""
        return self.events[-1].kv.mod_revision if self.events else self.header.revision


@dataclass(frozen=True, slots=True)
class LeaseGrant(Answer):
    """A new lease; `ttl` in seconds is what the server granted."""

    id: int = 0
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class LeaseAlive(Answer):
    """A renewed lease and its new time to live in seconds."""

    id: int = 0
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class LeaseInfo(Answer):
    """What is left of a lease; `ttl` -1: there is none."""

    id: int = 0
    ttl: int = 0
    granted_ttl: int = 0
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseIds(Answer):
    """All leases."""

    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member; empty `name`: added, never started."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class MemberList(Answer):
    """All members."""

    members: tuple[Member, ...] = ()
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Status(Answer):
    """One member's view of itself; `leader` 0: knows of none. Sizes in bytes."""

    version: str = ""
    db_size: int = 0
    db_size_in_use: int = 0
    leader: int = 0
    raft_index: int = 0
    raft_term: int = 0
    raft_applied_index: int = 0
    errors: tuple[str, ...] = ()
    is_learner: bool = False

    @property
    def is_leader(self) -> bool:
        """True if the answering member leads."""
        return self.leader != 0 and self.leader == self.header.member_id


@dataclass(frozen=True, slots=True)
class Hash(Answer):
    """Digest of one member's keys up to a revision."""

    hash: int = 0
    compact_revision: int = 0


@dataclass(frozen=True, slots=True)
class Downgrade(Answer):
    """What a downgrade request was answered: the cluster's version now."""

    version: str = ""


class PermissionType(IntEnum):
    """What a role may do with a range of keys."""

    READ = 0
    WRITE = 1
    READWRITE = 2


@dataclass(frozen=True, slots=True)
class Permission:
    """A right on `[key, range_end)`; empty `range_end` is one key, one zero byte is all keys from `key` on."""

    type: PermissionType
    key: bytes
    range_end: bytes = b""


@dataclass(frozen=True, slots=True)
class AuthStatus(Answer):
    """Whether authentication is on, and how often users and roles changed."""

    enabled: bool = False
    auth_revision: int = 0


@dataclass(frozen=True, slots=True)
class UserRoles(Answer):
    """The roles of one user."""

    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserList(Answer):
    """All users."""

    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RolePermissions(Answer):
    """The rights of one role."""

    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleList(Answer):
    """All roles."""

    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alarms(Answer):
    """Raised alarms: (member id, kind)."""

    alarms: tuple[tuple[int, AlarmKind], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class LockKey(Answer):
    """A lock held through the server's lock service."""

    key: bytes = b""


@dataclass(frozen=True, slots=True)
class LeaderKey:
    """A leadership held through the server's election service."""

    name: bytes
    key: bytes
    revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class ServerLeader(Answer):
    """An election won through the server's election service."""

    leader: LeaderKey = LeaderKey(b"", b"", 0, 0)
