"""The seam between the store and its Raft engine.

Everything above sees `Replicator`; everything below drives an `Applier`. Both are small and engine-neutral, so that
the engine can be replaced without a second file changing. Commands are bytes here; what they mean is the applier's.

Guarantees of a `Replicator`:
1. `propose` returns only after the command is durable on a majority and applied here; its value is what the
   applier returned for it. A command is applied exactly once and in the same order on every member.
2. `read_index` returns an index that covers every proposal acknowledged anywhere before the call, and only after
   this member has applied it, so that a read of local state afterwards is linearizable.
3. `OutcomeUnknown` says that a proposal may or may not have been, or yet be, applied. `NoLeader` and `TooManyRequests`
   say that it surely was not.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NewType, Protocol

MemberId = NewType("MemberId", int)


class ReplicationError(Exception):
    """Base of what replication can refuse."""


class NoLeader(ReplicationError):
    """No leader is known, so nothing was proposed."""


class OutcomeUnknown(ReplicationError):
    """The deadline passed, or leadership moved, before the outcome was known."""


class TooManyRequests(ReplicationError):
    """The limit of proposals in flight is reached; nothing was proposed."""


class NotLeader(ReplicationError):
    """Only the leader can do this (leadership transfer)."""


class TransferFailed(ReplicationError):
    """The target did not take over in time."""


class Stopped(ReplicationError):
    """The replicator is stopping; nothing was proposed."""


class Removed(ReplicationError):
    """This member was removed from its cluster, for good; its process has nothing left to do."""

    def __init__(self) -> None:
        super().__init__("the member has been permanently removed from the cluster")


class DamagedData(ReplicationError):
    """A file is damaged beyond a torn tail. `path`, `offset` say where; the message says what to do."""

    def __init__(self, path: Path, offset: int, problem: str) -> None:
        super().__init__(
            f"{path}: {problem} at offset {offset}; move this member's data directory away and restart it: "
            "it will be filled again from the other members"
        )
        self.path = path
        self.offset = offset


@dataclass(frozen=True, slots=True)
class PeerTls:
    """Files for mutual TLS between members; certificates must be signed by `ca_file`.

    Without `ca_file` what members say is encrypted, but they are not verified (etcd's --peer-auto-tls).
    """

    cert_file: Path
    key_file: Path
    ca_file: Path | None
    crl_file: Path | None = None
    cipher_suites: tuple[str, ...] = ()
    """OpenSSL's names."""
    min_version: str = "TLS1.2"
    max_version: str = ""
    allowed_cn: str = ""
    """The common name that a member's certificate must have; empty = any."""
    allowed_hostname: str = ""
    """A name or address that it must carry; empty = any."""


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """What a member needs to take part. Times in seconds.

    `peers` maps every member, this one too, to the (host, port) where it listens for peers.
    `election_timeout_seconds` is the lower bound; the upper is twice it.
    """

    member_id: MemberId
    peers: dict[MemberId, tuple[str, int]]
    data_dir: Path
    cluster_id: int = 0
    heartbeat_interval_seconds: float = 0.05
    election_timeout_seconds: float = 0.25
    snapshot_count: int = 10_000
    max_in_flight: int = 5_000
    max_pack_bytes: int = 4 << 20
    tls: PeerTls | None = None
    voters: tuple[MemberId, ...] | None = None
    """The members at the first start; None: all of `peers`. Empty: this member joins a cluster and learns them."""
    peer_urls: dict[MemberId, tuple[str, ...]] = field(default_factory=dict)
    """Where these are reached, as others are told that join later."""
    is_emptied: bool = False
    """The others count this member already, and it starts with nothing: it must not vote before it has caught up."""
    is_forced: bool = False
    """Go on alone, whoever else was a member (etcd's --force-new-cluster)."""
    address_of: Callable[[str], tuple[str, int]] = field(default=lambda url: ("", 0), compare=False)
    """Host and port of a peer URL, for members that are added."""
    listen: tuple[tuple[str, int], ...] = ()
    """Where to listen for peers; empty = the address in `peers`."""
    on_log_write: Callable[[float], None] = field(default=lambda _: None, compare=False)
    """Told the seconds of each write of the log to disk, its fsync included."""


@dataclass(frozen=True, slots=True)
class RaftStatus:
    """A member's view. `leader_id` 0 = none known. `applied_index` <= `commit_index` <= `last_index`."""

    member_id: MemberId
    leader_id: MemberId
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    is_learner: bool = False
    match_index: dict[MemberId, int] = field(default_factory=dict)
    """On the leader only: how far each other member is."""
    is_disk_full: bool = False
    """There is no space for the log to grow; what is left is kept for what frees some."""
    is_disk_stuck: bool = False
    """Even that is used up: nothing can be written now."""


class Applier(Protocol):
    """The state machine, as the engine drives it. Synchronous; never raises for a bad command."""

    @property
    def applied_index(self) -> int:
        """The index of the last entry in the state; 0 = empty."""
        ...

    def apply(self, index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        """Apply the commands packed in entry `index`; one result each. An index seen before changes nothing
        and yields an empty sequence."""
        ...

    def configure(self, index: int, configuration: bytes) -> None:
        """Keep `configuration`, which entry `index` holds, in the state: `configuration` is the last one, b"" if there
        was none, also after a snapshot of the state was restored."""
        ...

    def snapshot(self) -> Iterator[bytes]:
        """The whole state at `applied_index` as chunks (at most 1 MiB each), pinned: later applies do not show."""
        ...

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot; `applied_index` follows. Raises ValueError if it is damaged."""
        ...


class Replicator(Protocol):
    """What the service layer knows of replication."""

    def leadership(self) -> tuple[MemberId, int]:
        """(who leads as far as this member knows, 0 = nobody; the current term). Costs next to nothing."""
        ...

    async def start(self) -> None:
        """Load, listen, join. Returns when local state is loaded, not when there is a leader."""
        ...

    async def run(self) -> None:
        """Until cancelled or a failure that must end the process (failed fsync, damaged data)."""
        ...

    async def stop(self) -> None:
        """Leave in order: hand leadership over if possible, answer waiting callers, close files."""
        ...

    def propose(
        self, command: bytes, timeout_seconds: float, *, only_in_term: int = 0
    ) -> Awaitable[Any]:
        """Replicate and apply `command`; the applier's result for it (guarantee 1 above).

        With `only_in_term`, a term that this member leads, it enters the log in that term or not at all: NotLeader.
        For what only a leader may decide, and only as long as it is one.
        """
        ...

    def read_index(self, timeout_seconds: float) -> Awaitable[int]:
        """Guarantee 2. Raises NoLeader or OutcomeUnknown (deadline)."""
        ...

    async def transfer_leadership(self, target: MemberId, timeout_seconds: float) -> None:
        """Make `target` the leader. Raises NotLeader or TransferFailed."""
        ...

    def change_members(self, change: Any, timeout_seconds: float) -> Awaitable[Any]:
        """Make one `configuration.Change` of the members; the `Configuration` after it, committed.

        Raises ChangeRefused (nothing was changed), NoLeader, or OutcomeUnknown (deadline).
        """
        ...

    def configuration(self) -> Any:
        """The members, as committed and applied here (a `Configuration`)."""
        ...

    def connected_since(self) -> Mapping[MemberId, float]:
        """Since when, by the clock's `monotonic`, there is a connection to each other member that has one."""
        ...

    def on_members(self, callback: Callable[[Any], None]) -> None:
        """Call with each configuration that is committed here. Must not raise or block."""
        ...

    def status(self) -> RaftStatus:
        """This member's view, at once."""
        ...

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call `callback(is_leader)` on the loop whenever this member gains (after it has applied an entry of its
        own term) or loses leadership. Must not raise or block."""
        ...

    def on_applied(self, callback: Callable[[Sequence[Any]], None]) -> None:
        """Call with the results of each applied entry, in order, right after it. Must not raise or block."""
        ...
