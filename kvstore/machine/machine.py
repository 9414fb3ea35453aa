"""StateMachine: what the log drives.

Pure: the same commands give the same outcomes on every member and at every replay; time and chance come inside the
commands. A command that cannot be done is answered with a StoreError in its outcome and changes nothing. What raises
instead (bytes that are no command, a broken invariant) means damage or a bug, and the member must stop: the others
would go on with another state.

Fits `kvstore.raft.replicator.Applier` without knowing it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from kvstore.auth.store import AuthStore
from kvstore.lease.lessor import MAX_TTL_SECONDS, Lessor
from kvstore.machine import access, snapshot, txn
from kvstore.machine.auth_apply import apply_auth
from kvstore.machine.auth_commands import AuthCommand
from kvstore.machine.commands import (
    Alarm,
    Command,
    Compact,
    DeleteRange,
    DigestClaim,
    Downgrade,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberAttributes,
    MemberPeerUrls,
    Plain,
    Put,
    Range,
    Txn,
    decode,
    is_too_deep,
)
from kvstore.machine.outcome import (
    AlarmReply,
    CompactedTo,
    CompactReply,
    DigestClaimed,
    DigestClaimReply,
    DowngradeReply,
    Effect,
    LeaseCheckpointed,
    LeaseCheckpointReply,
    LeaseGranted,
    LeaseGrantReply,
    LeaseRevoked,
    LeaseRevokeReply,
    MemberAttributesReply,
    MemberPeerUrlsReply,
    Outcome,
    PeersMoved,
    RangeReply,
    Reply,
    TxnReply,
)
from kvstore.machine.reads import read_range
from kvstore.mvcc.errors import (
    Corrupt,
    LeaseExists,
    LeaseNotFound,
    LeaseTTLTooLarge,
    NoSpace,
    StoreError,
    TxnTooDeep,
)
from kvstore.mvcc.history import History
from kvstore.mvcc.store import Store

ALARM_NOSPACE, ALARM_CORRUPT = 1, 2
_ACTIVATE, _DEACTIVATE = 1, 2

_RECLAIM_EVENTS = 256
"""How much of a compacted history each applied entry cleans up: well under a millisecond."""

_COMPACT_REPLY = CompactReply()
_REVOKE_REPLY = LeaseRevokeReply()
_CHECKPOINT_REPLY = LeaseCheckpointReply()
_MEMBER_REPLY = MemberAttributesReply()
_PEERS_REPLY = MemberPeerUrlsReply()
_DOWNGRADE_REPLY = DowngradeReply()
_CLAIM_REPLY = DigestClaimReply()

_FREE_OF_ALARMS = (
    Alarm
    | MemberAttributes
    | MemberPeerUrls
    | Downgrade
    | DigestClaim
    | LeaseCheckpoint
    | AuthCommand
)

_Result = tuple[Reply, tuple[Effect, ...]]


class StateMachine:
    """Keys, leases, alarms, users, roles and member names of one member."""

    def __init__(self) -> None:
        self._applied_index = 0
        self._store = Store()
        self._lessor = Lessor()
        self._alarms: set[tuple[int, int]] = set()
        self._members: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._peer_urls: dict[int, tuple[str, ...]] = {}
        self._downgrade = ""
        self._configuration = b""
        self._auth = AuthStore()
        self._is_full = False
        self._is_corrupt = False
        self._is_open = True
        """Neither alarms nor authentication stand in the way of a put."""
        self._on_restore: list[Callable[[], None]] = []

    @property
    def applied_index(self) -> int:
        """The index of the last entry in the state; 0 = empty."""
        return self._applied_index

    @property
    def revision(self) -> int:
        """The newest revision; 1 when empty."""
        return self._store.revision

    @property
    def compact_revision(self) -> int:
        """Nothing older can be read; 0 = nothing was compacted."""
        return self._store.compact_revision

    @property
    def size_bytes(self) -> int:
        """Logical size of keys with their history. What compaction frees goes off it bit by bit."""
        return self._store.size_bytes

    @property
    def history(self) -> History:
        """Events since the compacted revision. The same object for good, also over `restore`."""
        return self._store.history

    @property
    def lessor(self) -> Lessor:
        """Leases. The same object for good, also over `restore`."""
        return self._lessor

    @property
    def auth(self) -> AuthStore:
        """Users and roles. The same object for good, also over `restore`. For reading only."""
        return self._auth

    @property
    def alarms(self) -> set[tuple[int, int]]:
        """Raised alarms: (member_id, alarm). For reading only."""
        return self._alarms

    @property
    def members(self) -> Mapping[int, tuple[str, tuple[str, ...]]]:
        """Name and client URLs by member id, as each member said."""
        return self._members

    @property
    def peer_urls(self) -> Mapping[int, tuple[str, ...]]:
        """Peer URLs of the members that have others than at their first start."""
        return self._peer_urls

    @property
    def downgrade_version(self) -> str:
        """The version that a downgrade is under way to; empty = none is."""
        return self._downgrade

    def apply(self, index: int, commands: Sequence[bytes]) -> list[Outcome]:
        """Apply the commands of entry `index`, one outcome each; an index seen before changes nothing: [].

        Raises msgspec.DecodeError, with nothing applied, if one of them is not a command.
        """
        if index <= self._applied_index:
            return []
        # All are decoded first, so that damage leaves the state as it was.
        decoded = [decode(data) for data in commands]
        outcomes = [self._apply(command, index) for command in decoded]
        self._applied_index = index
        if self._store.has_garbage:
            self._store.reclaim(_RECLAIM_EVENTS)
        return outcomes

    @property
    def configuration(self) -> bytes:
        """What `configure` was given last; empty = nothing yet."""
        return self._configuration

    def configure(self, index: int, configuration: bytes) -> None:
        """Keep what entry `index` says of the replication; an index seen before changes nothing."""
        if index > self._applied_index:
            self._applied_index = index
            self._configuration = configuration

    def range(self, cmd: Range) -> RangeReply | StoreError:
        """Read keys, newest or at a revision. Goes on whatever alarm is raised, as in etcd."""
        return read_range(self._store, cmd)

    def txn_readonly(self, cmd: Txn) -> TxnReply | StoreError:
        """Run a transaction without writes. Raises ValueError if a branch that runs has one."""
        if is_too_deep(cmd):
            return TxnTooDeep()
        branch = txn.decide(self._store, cmd)
        refusal = txn.check(self._store, self._lessor, branch)
        return refusal if refusal is not None else txn.run_reads(self._store, branch)

    def digest(self, revision: int = 0) -> tuple[int, int]:
        """(32-bit hash of the keys and their history at `revision`, compacted revision); 0 = newest.

        Equal on all members for equal revision and compacted revision. Raises Compacted or FutureRevision.
        """
        return self._store.digest(revision), self._store.compact_revision

    def settle(self, limit_versions: int) -> bool:
        """Do a part of what `digest` is owed; whether more is left. For a shell with idle time."""
        return self._store.settle(limit_versions)

    def reclaim(self, limit_events: int = 4096) -> bool:
        """Free what compaction made unreachable, a bounded part; whether more is left. Changes nothing readable.

        Every applied entry does some of it; a shell with idle time may do more.
        """
        return self._store.reclaim(limit_events)

    def snapshot(self) -> Iterator[bytes]:
        """The state at this call in chunks of at most 1 MiB, made while they are taken; later changes are not in it."""
        return snapshot.write(
            snapshot.State(
                self._applied_index,
                self._store,
                self._lessor,
                self._alarms,
                self._members,
                self._auth.state(),
                self._peer_urls,
                self._downgrade,
                self._configuration,
            )
        )

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state by a snapshot's. Raises ValueError, with the state as it was, if that is damaged."""
        state = snapshot.read(chunks)
        self._applied_index = state.applied_index
        self._store.adopt(state.store)
        self._lessor.adopt(state.lessor)
        self._alarms = state.alarms
        self._members = state.members
        self._auth.adopt(state.auth)
        self._peer_urls = state.peer_urls
        self._downgrade = state.downgrade
        self._configuration = state.configuration
        self._refresh()
        for callback in self._on_restore:
            callback()

    def on_restore(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each `restore`: no outcomes tell what changed by it."""
        self._on_restore.append(callback)

    def check_invariants(self) -> None:
        """Raise AssertionError if the parts are not sound or do not agree."""
        self._store.check_invariants()
        self._lessor.check_invariants()
        self._auth.check_invariants()
        keys_by_lease: dict[int, set[bytes]] = {lease_id: set() for lease_id in self._lessor.leases}
        for kv in self._store.select(b"\0", b"\0"):
            if kv.lease:
                assert kv.lease in keys_by_lease, f"{kv.key!r} hangs on lease {kv.lease}: gone"
                keys_by_lease[kv.lease].add(kv.key)
        for lease_id, lease in self._lessor.leases.items():
            assert set(lease.keys) == keys_by_lease[lease_id], f"lease {lease_id}: other keys"
        alarms = {alarm for _, alarm in self._alarms}
        assert self._is_full == (ALARM_NOSPACE in alarms)
        assert self._is_corrupt == (ALARM_CORRUPT in alarms)
        assert self._is_open == (
            not self._is_full and not self._is_corrupt and not self._auth.is_enabled
        )

    def _apply(self, command: Command, index: int) -> Outcome:
        store = self._store
        if type(command) is Put and self._is_open:
            # The common one, without detours.
            refusal = txn.check_put(store, self._lessor, command)
            if refusal is not None:
                return Outcome(refusal, store.revision)
            reply = txn.put(store, self._lessor, command)
            events = store.commit()
            return Outcome(reply, store.revision, events)
        plain, who = access.signer(command)
        # Who may not do a thing is not told either whether it could be done now.
        denial = access.refusal(self._auth, self._lessor, who, plain)
        if denial is not None:
            return Outcome(denial, store.revision)
        refusal = self._refusal_by_alarm(plain)
        if refusal is not None:
            return Outcome(refusal, store.revision)
        result, effects = self._dispatch(plain, index)
        events = store.commit()
        return Outcome(result, store.revision, events, effects)

    def _refusal_by_alarm(self, command: Plain) -> StoreError | None:
        if isinstance(command, _FREE_OF_ALARMS):
            return None
        if self._is_corrupt:
            return Corrupt()
        if not self._is_full:
            return None
        grows = isinstance(command, Put | LeaseGrant) or (
            isinstance(command, Txn) and not is_too_deep(command) and txn.has_put(command)
        )
        return NoSpace() if grows else None

    def _dispatch(self, command: Plain, index: int) -> _Result:
        match command:
            case Put():
                refusal = txn.check_put(self._store, self._lessor, command)
                return refusal or txn.put(self._store, self._lessor, command), ()
            case DeleteRange():
                return txn.delete_range(self._store, self._lessor, command), ()
            case Txn():
                return self._txn(command), ()
            case Compact():
                return self._compact(command)
            case LeaseGrant():
                return self._lease_grant(command)
            case LeaseRevoke():
                return self._lease_revoke(command)
            case LeaseCheckpoint():
                return self._lease_checkpoint(command)
            case Alarm():
                return self._alarm(command), ()
            case MemberAttributes() | MemberPeerUrls() | Downgrade() | DigestClaim():
                return self._said_by_member(command)
            case _:
                result = apply_auth(self._auth, command, index)
                self._refresh()
                return result

    def _said_by_member(
        self, command: MemberAttributes | MemberPeerUrls | Downgrade | DigestClaim
    ) -> _Result:
        match command:
            case MemberAttributes():
                self._members[command.member_id] = (command.name, command.client_urls)
                return _MEMBER_REPLY, ()
            case MemberPeerUrls():
                self._peer_urls[command.member_id] = command.peer_urls
                return _PEERS_REPLY, (PeersMoved(),)
            case Downgrade():
                self._downgrade = command.version
                return _DOWNGRADE_REPLY, ()
            case DigestClaim():
                return _CLAIM_REPLY, (DigestClaimed(command),)

    def _txn(self, command: Txn) -> Reply:
        if txn.is_plain(command):
            return txn.run_plain(self._store, self._lessor, command)
        if is_too_deep(command):
            return TxnTooDeep()
        branch = txn.decide(self._store, command)
        refusal = txn.check(self._store, self._lessor, branch)
        return refusal if refusal is not None else txn.run(self._store, self._lessor, branch)

    def _compact(self, command: Compact) -> _Result:
        refusal = self._store.compact(command.revision)
        if refusal is not None:
            return refusal, ()
        return _COMPACT_REPLY, (CompactedTo(command.revision),)

    def _lease_grant(self, command: LeaseGrant) -> _Result:
        if command.id == 0:
            return LeaseNotFound(), ()
        if command.ttl > MAX_TTL_SECONDS:
            return LeaseTTLTooLarge(), ()
        if command.id in self._lessor:
            return LeaseExists(), ()
        ttl = max(1, command.ttl)
        self._lessor.grant(command.id, ttl)
        return LeaseGrantReply(command.id, ttl), (LeaseGranted(command.id, ttl),)

    def _lease_revoke(self, command: LeaseRevoke) -> _Result:
        lease = self._lessor.leases.get(command.id)
        if lease is None:
            return LeaseNotFound(), ()
        for key in lease.keys:
            self._store.delete(key)
        self._lessor.revoke(command.id)
        return _REVOKE_REPLY, (LeaseRevoked(command.id),)

    def _lease_checkpoint(self, command: LeaseCheckpoint) -> _Result:
        # A lease may have ended between proposal and now: that is not an error of the others.
        effects = tuple(
            [
                LeaseCheckpointed(lease_id, self._lessor.leases[lease_id].remaining)
                for lease_id, remaining in command.remaining
                if self._lessor.checkpoint(lease_id, remaining)
            ]
        )
        return _CHECKPOINT_REPLY, effects

    def _alarm(self, command: Alarm) -> AlarmReply:
        pair = (command.member_id, command.alarm)
        if command.action == _ACTIVATE and command.alarm in (ALARM_NOSPACE, ALARM_CORRUPT):
            self._alarms.add(pair)
        elif command.action == _DEACTIVATE and pair in self._alarms:
            self._alarms.discard(pair)
        else:
            return AlarmReply()
        self._refresh()
        return AlarmReply((pair,))

    def _refresh(self) -> None:
        alarms = {alarm for _, alarm in self._alarms}
        self._is_full = ALARM_NOSPACE in alarms
        self._is_corrupt = ALARM_CORRUPT in alarms
        self._is_open = not (self._is_full or self._is_corrupt or self._auth.is_enabled)
