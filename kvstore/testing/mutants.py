"""Known mistakes, each a guard or rule switched off by name, to see whether the search finds what it then breaks.

Only the simulation uses them: they replace methods while a run lasts, nothing in the product asks for them. `about`
says what is switched off; rows are the numbers by which `kvstore.raft.pysync` names what of the library it mends,
numbers with # are etcd's issues. A mutant's plans are bent: faults and sizes that have to do with it come more often,
so that three searches take minutes; nothing else about a run differs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from kvstore.machine import snapshot as machine_snapshot
from kvstore.mvcc.errors import LeaseNotFound
from kvstore.raft import journal, proposals, read_index, segment, snapshots
from kvstore.raft.pysync import (
    core,
    guards,
    leading,
    library,
    overrides,
    progress,
    rejoin,
    snapshotting,
    state,
)
from kvstore.service import expiry
from kvstore.service import lease as lease_service
from kvstore.testing.mutant import Mutant, Patch
from kvstore.testing.mutants_etcd import ETCD_MUTANTS
from kvstore.testing.sim_disk import SimFiles


@contextmanager
def switched_off(name: str) -> Iterator[dict[str, Any]]:
    """Live with a mistake; yields the world's further arguments. An empty name changes nothing."""
    with ExitStack() as undo:
        if not name:
            yield {}
            return
        mutant = MUTANTS[name]
        for target, attribute, replacement in mutant.patches():
            undo.callback(setattr, target, attribute, target.__dict__[attribute])
            setattr(target, attribute, replacement)
        yield mutant.options()


_Sync: Any = overrides.GuardedSyncObj


def _commit_from_any_heartbeat() -> Sequence[Patch]:
    original = _Sync._on_append_entries
    send = _Sync._send_append

    def on_append_entries(self: Any, node: Any, message: Any) -> None:
        original(self, node, message)
        if message["term"] == self.term() and "prevLogIdx" not in message:
            position = {"type": "append_entries", "term": message["term"]}
            self._pass_on(node, {**position, "commit_index": message["commit_index"]})

    def send_append(self: Any, name: str, position: Any) -> bool:
        if position:
            return bool(send(self, name, position))
        message = {"type": "append_entries", "commit_index": self.commit_index()}
        return bool(self.send_numbered(name, message))

    return [
        (_Sync, "_on_append_entries", on_append_entries),
        (leading.Leading, "_send_append", send_append),
    ]


def _truncate_always() -> Sequence[Patch]:
    original = guards.plan_append

    def plan_append(previous: int, term: int, entries: Any, *rest: Any) -> guards.AppendPlan:
        plan = original(previous, term, entries, *rest)
        base, last = rest[1], rest[2]
        if plan.rewind_to is not None or previous < base or previous > last:
            return plan
        return guards.AppendPlan(None, previous, term, entries, plan.covered)

    return [(guards, "plan_append", plan_append)]


def _acknowledge_own_end() -> Sequence[Patch]:
    original = guards.plan_append

    def plan_append(*args: Any) -> guards.AppendPlan:
        plan = original(*args)
        if plan.rewind_to is not None:
            return plan
        last = args[5]
        return guards.AppendPlan(
            None, plan.previous_index, plan.previous_term, plan.entries, max(plan.covered, last)
        )

    return [(guards, "plan_append", plan_append)]


def _vote_for_anybody() -> Sequence[Patch]:
    original = _Sync._on_request_vote

    def on_request_vote(self: Any, node: Any, message: Any) -> None:
        original(self, node, {**message, "last_log_index": 1 << 40, "last_log_term": 1 << 40})

    grants = guards.grants_pre_vote

    def grants_pre_vote(message: Any, *rest: Any) -> bool:
        return grants({**message, "last_log_index": 1 << 40, "last_log_term": 1 << 40}, *rest)

    return [
        (_Sync, "_on_request_vote", on_request_vote),
        (guards, "grants_pre_vote", grants_pre_vote),
    ]


def _votes_by_message() -> Sequence[Patch]:
    def on_response_vote(self: Any, node: Any, message: Any) -> None:
        if message["term"] == self.term():
            self._pass_on(node, message)
            self._pass_on(node, message)

    return [(_Sync, "_on_response_vote", on_response_vote)]


def _forget_votes() -> Sequence[Patch]:
    def set_term(self: Any, term: int, vote: str | None) -> None:
        self.term, self.vote = term, vote

    return [(journal.Journal, "set_term", set_term)]


def _skip_sync(kind: str) -> Callable[[], Sequence[Patch]]:
    def patches() -> Sequence[Patch]:
        original = SimFiles.sync_data

        def sync_data(self: Any, descriptor: int) -> None:
            path, _ = self._open[descriptor]
            if kind not in path.name:
                original(self, descriptor)

        return [(SimFiles, "sync_data", sync_data)]

    return patches


def _no_checksums(module: Any) -> Callable[[], Sequence[Patch]]:
    class Blind:
        """Every sum is the same."""

        @staticmethod
        def crc32(data: Any, start: int = 0) -> int:
            return 0

    return lambda: [(module, "zlib", Blind)]


def _no_snapshot_checksums() -> Sequence[Patch]:
    """Neither the file's nor the state's own."""
    return [
        *_no_checksums(snapshots)(),
        (machine_snapshot, "crc32", lambda data, start=0: 0),
    ]


def _remember_commit_index() -> Sequence[Patch]:
    def remember(self: Any, index: int) -> None:
        self._journal.set_fact("commit", str(index))

    def recall(self: Any) -> int:
        return int(self._journal.facts.get("commit", "1"))

    target = library.LibraryJournal
    return [(target, "setRaftCommitIndex", remember), (target, "getRaftCommitIndex", recall)]


def _compact_before_snapshot() -> Sequence[Patch]:
    original = snapshotting.Snapshotting.maybe_start

    def maybe_start(self: Any) -> None:
        was_writing = self._writing
        original(self)
        if self._writing is not was_writing and self._writing is not None:
            self._journal.compact(self._snapshot_index)

    return [(snapshotting.Snapshotting, "maybe_start", maybe_start)]


def _read_from_leader_without_asking() -> Sequence[Patch]:
    original = read_index.ReadIndex.close_rounds

    def close_rounds(self: Any, majority: int, applied: int) -> Any:
        return original(self, 1, applied)

    return [(read_index.ReadIndex, "close_rounds", close_rounds)]


def _read_here_without_asking() -> Sequence[Patch]:
    def begin_reads(self: Any) -> None:
        if self.reads.has_new:
            question = self.reads.ask()
            self.reads.told(question, self.sync.last_applied(), self.sync.last_applied())

    return [(core.Core, "_begin_reads", begin_reads)]


def _read_before_own_term() -> Sequence[Patch]:
    return [(state.MemberState, "has_committed_own_term", lambda self: self.is_leader())]


def _old_answers_prove_leadership() -> Sequence[Patch]:
    def answer(self: Any, member: Any, number: int) -> None:
        for round_ in self._rounds:
            if number >= round_.needed - 40:
                round_.answered.add(member)

    return [(read_index.ReadIndex, "answer", answer)]


def _accept_any_hand_over() -> Sequence[Patch]:
    original = core.Core._on_forward

    def on_forward(self: Any, member: Any, message: Any) -> None:
        original(self, member, {**message, "term": self.sync.term()})

    return [(core.Core, "_on_forward", on_forward)]


def _propose_again_too_early() -> Sequence[Patch]:
    def settle(self: Any, applied_term: int) -> None:
        for number, pending in reversed(list(self._pending.items())):
            if pending.handed_term > 0:
                self._queue_again(number, pending)

    return [(proposals.Proposals, "settle", settle)]


def _rename_before_sync() -> Sequence[Patch]:
    def write_whole(self: Any, path: Any, data: bytes) -> None:
        aside = path.with_name(path.name + ".new")
        descriptor = self.create(aside)
        self.write_at(descriptor, data, 0)
        self.close(descriptor)
        self.rename(aside, path)
        self.sync_directory(path.parent)

    files: Any = next(one for one in SimFiles.__mro__ if "write_whole" in one.__dict__)
    return [(files, "write_whole", write_whole)]


def _forget_renewals() -> Sequence[Patch]:
    async def renew(self: Any, lease_id: int) -> int:
        lease = self._machine.lessor.leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound
        return int(lease.ttl)

    return [(expiry.LeaseClock, "renew", renew)]


def _new_leader_ends_leases() -> Sequence[Patch]:
    original = expiry.LeaseClock.on_leadership

    def on_leadership(self: Any, is_leader: bool) -> None:
        original(self, is_leader)
        for lease_id in self._deadlines:
            self._set(lease_id, 0.3)

    return [(expiry.LeaseClock, "on_leadership", on_leadership)]


def _deposed_leader_keeps_leases() -> Sequence[Patch]:
    original = lease_service.LeaseService.keep_alive

    async def keep_alive(self: Any, lease_id: int, *rest: Any, **options: Any) -> int:
        if self._lease_clock.is_primary:
            return int(await self._lease_clock.renew(lease_id))
        return int(await original(self, lease_id, *rest, **options))

    return [(lease_service.LeaseService, "keep_alive", keep_alive)]


def _lose_vote(self: Any, member: Any, message: Any) -> None:
    self.sync.may_vote = False
    self._rejoin.is_emptied = True


def _true(*_: Any) -> bool:
    return True


def _stock() -> Sequence[Patch]:
    """Votes and entries that no fsync covers, messages of any term, snapshots of any age, reads without a round."""
    return [
        (guards, "ack_counts", _true),
        (guards, "reset_counts", _true),
        (guards, "may_leave", _true),
        (guards, "snapshot_is_news", _true),
        (guards, "keeps_suffix", lambda *_: False),
        (guards, "countable_index", lambda last, durable: last),
        (guards, "vote_counts", _true),
        (guards, "may_vote_now", _true),
        *_truncate_always(),
        *_forget_votes(),
        *_skip_sync(".log")(),
        *_read_here_without_asking(),
    ]


def _guard(name: str, replacement: Any) -> Callable[[], Sequence[Patch]]:
    return lambda: [(guards, name, replacement)]


_POWER = ("power-loss", "power-loss-all", "kill", "crash-at-file-operation")
_SPLITS = ("isolate", "split", "cut", "cut-one-way", "kill")
_SNAPSHOTS = {"snapshot_count": 8, "segment_bytes": 1 << 11}
_LEASES = {"traffic": ("lease", "put", "get")}
_BUSY = {"traffic": ("put", "get", "cas"), "think_seconds": 0.05, "clients": 4}
_WIPES = ("wipe", "kill", "isolate", "split")

MUTANTS: dict[str, Mutant] = {
    "commit-from-any-heartbeat": Mutant(
        "row 1: a heartbeat without log position advances the commit index",
        _commit_from_any_heartbeat,
        ("island",),
        2.0,
        _SNAPSHOTS | _BUSY | {"traffic": ("put", "get")},
    ),
    "truncate-always": Mutant(
        "row 2: AppendEntries deletes what follows, matching or not",
        _truncate_always,
        ("late-copies", "seesaw:rest power", "power-loss-all"),
        0.8,
        _BUSY,
    ),
    "acknowledge-own-end": Mutant(
        "row 2: a follower acknowledges its own log end, not what the message covered",
        _acknowledge_own_end,
        ("unheard-leader",),
        3.0,
        _BUSY | {"append_bytes": 1},
        lambda: {"settle_seconds": 6.0},
    ),
    "acks-of-any-term": Mutant(
        "row 3: acknowledgements of other terms count",
        lambda: [
            (guards, "ack_counts", _true),
            (
                guards,
                "may_leave",
                lambda covered, _, __, durable, vote: vote and covered <= durable,
            ),
        ],
        ("two-reigns",),
        6.0,
        _BUSY | {"members": 5, "snapshot_count": 10_000, "traffic": ("put", "get")},
        # A follower that never comes along again: that shows soon.
        lambda: {"settle_seconds": 6.0},
    ),
    "old-snapshot-installs": Mutant(
        "row 4: a snapshot is installed although newer state is here",
        _guard("snapshot_is_news", _true),
        ("relapse",),
        2.0,
        _SNAPSHOTS | _BUSY,
    ),
    "snapshot-clears-suffix": Mutant(
        "row 4: installing or loading a snapshot clears the log behind it",
        _guard("keeps_suffix", lambda *_: False),
        _POWER,
        changes=_SNAPSHOTS,
    ),
    "snapshot-checksums-ignored": Mutant(
        "row 5: a damaged snapshot is loaded, whatever the file's checksums and the state's own say",
        _no_snapshot_checksums,
        ("bit-flip:snap",),
        0.8,
        _SNAPSHOTS | _BUSY,
    ),
    "file-checksums-ignored": Mutant(
        "row 5: the checksums of a snapshot's file are ignored",
        _no_checksums(snapshots),
        ("bit-flip:snap",),
        0.8,
        _SNAPSHOTS | _BUSY,
        covered="the state within has a checksum of its own",
    ),
    "rename-before-sync": Mutant(
        "rows 6, 7: small files are renamed before their bytes are durable",
        _rename_before_sync,
        _POWER,
    ),
    "log-not-synced": Mutant("row 7: the log is not synced", _skip_sync(".log"), _POWER),
    "snapshot-not-synced": Mutant(
        "row 7, #14685: a snapshot gets its name before its bytes are durable",
        _skip_sync("-"),
        _POWER,
        changes=_SNAPSHOTS,
    ),
    "directory-not-synced": Mutant(
        "row 7: names are not synced",
        lambda: [(SimFiles, "sync_directory", lambda self, path: None)],
        _POWER,
        changes=_SNAPSHOTS,
    ),
    "vote-forgotten": Mutant(
        "row 7: term and vote are not written",
        _forget_votes,
        ("kill-at-message", "kill"),
        0.5,
    ),
    "acks-before-sync": Mutant(
        "row 7: acknowledgements and votes leave before the fsync that covers them",
        _guard("may_leave", lambda covered, term, own, *_: True if term == own else None),
        ("seesaw:rest slow",),
        3.0,
        _BUSY,
    ),
    "leader-counts-unsynced": Mutant(
        "row 7: the leader counts itself before its fsync",
        _guard("countable_index", lambda last, durable: last),
        ("seesaw:leader slow",),
        4.0,
        _BUSY,
    ),
    "start-trusts-page-cache": Mutant(
        "what a start reads back counts as durable without being written again",
        lambda: [(journal.Journal, "_make_durable", lambda self, *read: None)],
        (*_POWER, "failing-sync", "slow-disk"),
        0.5,
        _BUSY,
    ),
    "commit-index-remembered": Mutant(
        "row 8: the commit index is kept on disk, the log perhaps not",
        _remember_commit_index,
        ("half-flush",),
        2.0,
        _BUSY,
    ),
    "compact-before-snapshot": Mutant(
        "row 9: the log is compacted before the snapshot is durable",
        _compact_before_snapshot,
        ("slow-disk", "power-loss", "kill"),
        0.5,
        _SNAPSHOTS | _BUSY,
    ),
    "stale-resets-count": Mutant(
        "row 12: a reset that answers an old message rewinds again",
        _guard("reset_counts", _true),
        ("unheard-leader", "reset", "isolate"),
        1.0,
        _BUSY | {"append_bytes": 1, "snapshot_count": 10_000},
        # Each message that is refused has all of them sent again.
        lambda: {"settle_seconds": 6.0},
    ),
    "leader-reads-unconfirmed": Mutant(
        "row 13: the leader answers reads without asking whether it still leads",
        _read_from_leader_without_asking,
        ("island",),
        2.0,
        _BUSY | {"traffic": ("put", "get", "get")},
    ),
    "follower-reads-unconfirmed": Mutant(
        "row 13: any member answers linearizable reads from what it has",
        _read_here_without_asking,
        ("island",),
        2.0,
        _BUSY | {"traffic": ("put", "get", "get")},
    ),
    "reads-before-own-term": Mutant(
        "row 13: a new leader answers reads before it committed an entry of its term",
        _read_before_own_term,
        (*_SPLITS, "move-leader", "slow-disk"),
        0.6,
        _BUSY,
    ),
    "old-answers-prove-leadership": Mutant(
        "#20418: after a pause, answers to old messages prove leadership",
        _old_answers_prove_leadership,
        ("late-answers",),
        3.0,
        _BUSY | {"traffic": ("put", "get", "get")},
    ),
    "hand-over-of-any-term": Mutant(
        "row 15: a leader takes proposals that were handed over for another term",
        _accept_any_hand_over,
        ("relay",),
        4.0,
        _BUSY,
    ),
    "proposed-again-too-early": Mutant(
        "row 15: what may still be committed is proposed again",
        _propose_again_too_early,
        ("kill", "isolate", "pause", "move-leader"),
        0.6,
        _BUSY,
    ),
    "votes-counted-by-message": Mutant(
        "row 18: votes are counted by message, not by member",
        _votes_by_message,
        ("voted-twice",),
        4.0,
        {"members": 5, "think_seconds": 0.8, "traffic": ("put", "get")},
    ),
    "vote-for-shorter-log": Mutant(
        "a vote is given whatever the candidate holds",
        _vote_for_anybody,
        ("seesaw:rest stay",),
        4.0,
        _BUSY,
    ),
    "emptied-member-votes": Mutant(
        "a member that lost its data votes before it has it again",
        lambda: [(core.Core, "_on_unknown_store", lambda self, member, message: None)],
        ("voted-twice",),
        4.0,
        {"members": 5, "think_seconds": 0.8, "traffic": ("put", "get")},
    ),
    "emptied-member-counts": Mutant(
        "others count a member that lost its data before it has it again",
        lambda: [(progress.Progress, "is_emptied", property(lambda _: False, lambda *_: None))],
        ("old-leader-fills",),
        1.0,
        {"members": 3} | _BUSY,
    ),
    "forgotten-vote-again": Mutant(
        "a member that lost its data votes in a term in which it may have voted before",
        lambda: [(rejoin.Rejoin, "lost_votes_until", lambda self, others: 0)],
        ("voted-twice",),
        4.0,
        {"members": 5, "think_seconds": 0.8, "traffic": ("put", "get")},
    ),
    "late-word-takes-vote": Mutant(
        "late word of an empty store takes the vote from a member that caught up, for good",
        lambda: [(core.Core, "_on_unknown_store", _lose_vote)],
        ("wipe", "slow-network"),
        0.8,
        {"members": 3} | _BUSY,
    ),
    "stock": Mutant(
        "all guards and all durability at once: what the library does by itself",
        _stock,
        ("island", "kill", "power-loss"),
        1.0,
        _BUSY,
    ),
    "log-checksums-ignored": Mutant(
        "row 22: records of the log are believed without a checksum",
        _no_checksums(segment),
        ("bit-flip",),
        0.7,
        _BUSY | {"segment_bytes": 1 << 11, "snapshot_count": 10_000},
    ),
    "lease-renewal-forgotten": Mutant(
        "a lease that was kept alive ends all the same", _forget_renewals, (), changes=_LEASES
    ),
    "new-leader-ends-leases": Mutant(
        "a new leader gives leases no time",
        _new_leader_ends_leases,
        ("kill", "move-leader", "isolate"),
        changes=_LEASES,
    ),
    "deposed-leader-keeps-leases": Mutant(
        "a leader promises a renewal without asking whether it still leads",
        _deposed_leader_keeps_leases,
        ("lease-keepers",),
        5.0,
        _LEASES | {"clients": 4, "think_seconds": 0.1},
    ),
} | ETCD_MUTANTS
