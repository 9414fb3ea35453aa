"""Mistakes in how the log is replicated, committed, read behind and handed proposals."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from kvstore.raft import proposals, read_index
from kvstore.raft.pysync import (
    forwarding,
    guards,
    leading,
    messages,
    overrides,
    reads_remote,
    state,
)
from kvstore.testing.mutants.disk import forget_votes, skip_sync
from kvstore.testing.mutants.mutant import BUSY, SNAPSHOTS, SPLITS, Mutant, Patch, always, guard


def _commit_from_any_heartbeat() -> Sequence[Patch]:
    original = _Sync.on_append_entries

    def on_append_entries(self: Any, progress: Any, message: Any) -> None:
        original(self, progress, message)
        if message.term == self.term() and message.previous_index is None:
            position = messages.sign_of_life_for_library(message.term)
            self._pass_on(progress, {**position, "commit_index": message.commit_index})

    def send_sign_of_life(self: Any, progress: Any) -> None:
        message = messages.AppendEntries(self.term(), self.next_number(), self.commit_index())
        self._owner.send(progress.name, message)

    return [
        (_Sync, "on_append_entries", on_append_entries),
        (leading.Leading, "_send_sign_of_life", send_sign_of_life),
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


def _read_from_leader_without_asking() -> Sequence[Patch]:
    original = read_index.ReadIndex.close_rounds

    def close_rounds(self: Any, majority: int, applied: int) -> Any:
        return original(self, 1, applied)

    return [(read_index.ReadIndex, "close_rounds", close_rounds)]


def _read_here_without_asking() -> Sequence[Patch]:
    def begin(self: Any) -> None:
        if self._reads.has_new:
            question = self._reads.ask()
            self._reads.told(question, self._sync.last_applied(), self._sync.last_applied())

    return [(reads_remote.RemoteReads, "begin", begin)]


def _read_before_own_term() -> Sequence[Patch]:
    return [(state.MemberState, "has_committed_own_term", lambda self: self.is_leader())]


def _old_answers_prove_leadership() -> Sequence[Patch]:
    def answer(self: Any, member: Any, number: int) -> None:
        for round_ in self._rounds:
            if number >= round_.needed - 40:
                round_.answered.add(member)

    return [(read_index.ReadIndex, "answer", answer)]


def _accept_any_hand_over() -> Sequence[Patch]:
    original = forwarding.Forwarding.on_forward

    def on_forward(self: Any, member: Any, message: Any) -> None:
        original(self, member, replace(message, term=self._sync.term()))

    return [(forwarding.Forwarding, "on_forward", on_forward)]


def _forward_again_blindly() -> Sequence[Patch]:
    def taken_from(self: Any, member: Any, nonce: int, applied: int) -> set[int]:
        return set()

    return [(forwarding.Forwarding, "_taken_from", taken_from)]


def _propose_again_too_early() -> Sequence[Patch]:
    def settle(self: Any, applied_term: int) -> None:
        for number, pending in reversed(list(self._pending.items())):
            if pending.handed_term > 0:
                self._queue_again(number, pending)

    return [(proposals.Proposals, "settle", settle)]


def _stock() -> Sequence[Patch]:
    """Votes and entries that no fsync covers, messages of any term, snapshots of any age, reads without a round."""
    return [
        (guards, "ack_counts", always),
        (guards, "reset_counts", always),
        (guards, "may_leave", always),
        (guards, "snapshot_is_news", always),
        (guards, "keeps_suffix", lambda *_: False),
        (guards, "countable_index", lambda last, durable: last),
        (guards, "vote_counts", always),
        (guards, "may_vote_now", always),
        *_truncate_always(),
        *forget_votes(),
        *skip_sync(".log")(),
        *_read_here_without_asking(),
    ]


_Sync: Any = overrides.GuardedSyncObj


REPLICATION_MUTANTS: dict[str, Mutant] = {
    "commit-from-any-heartbeat": Mutant(
        "row 1: a heartbeat without log position advances the commit index",
        _commit_from_any_heartbeat,
        ("island",),
        2.0,
        SNAPSHOTS | BUSY | {"traffic": ("put", "get")},
    ),
    "truncate-always": Mutant(
        "row 2: AppendEntries deletes what follows, matching or not",
        _truncate_always,
        ("late-copies", "seesaw:rest power", "power-loss-all"),
        0.8,
        BUSY,
    ),
    "acknowledge-own-end": Mutant(
        "row 2: a follower acknowledges its own log end, not what the message covered",
        _acknowledge_own_end,
        ("unheard-leader",),
        3.0,
        BUSY | {"append_bytes": 1},
        lambda: {"settle_seconds": 6.0},
    ),
    "acks-of-any-term": Mutant(
        "row 3: acknowledgements of other terms count",
        lambda: [
            (guards, "ack_counts", always),
            (
                guards,
                "may_leave",
                lambda covered, _, __, durable, vote: vote and covered <= durable,
            ),
        ],
        ("two-reigns",),
        6.0,
        BUSY | {"members": 5, "snapshot_count": 10_000, "traffic": ("put", "get")},
        # A follower that never comes along again: that shows soon.
        lambda: {"settle_seconds": 6.0},
    ),
    "stale-resets-count": Mutant(
        "row 12: a reset that answers an old message rewinds again",
        guard("reset_counts", always),
        ("unheard-leader", "reset", "isolate"),
        1.0,
        BUSY | {"append_bytes": 1, "snapshot_count": 10_000},
        # Each message that is refused has all of them sent again.
        lambda: {"settle_seconds": 6.0},
    ),
    "leader-reads-unconfirmed": Mutant(
        "row 13: the leader answers reads without asking whether it still leads",
        _read_from_leader_without_asking,
        ("island",),
        2.0,
        BUSY | {"traffic": ("put", "get", "get")},
    ),
    "follower-reads-unconfirmed": Mutant(
        "row 13: any member answers linearizable reads from what it has",
        _read_here_without_asking,
        ("island",),
        2.0,
        BUSY | {"traffic": ("put", "get", "get")},
    ),
    "reads-before-own-term": Mutant(
        "row 13: a new leader answers reads before it committed an entry of its term",
        _read_before_own_term,
        (*SPLITS, "move-leader", "slow-disk"),
        0.6,
        BUSY,
    ),
    "old-answers-prove-leadership": Mutant(
        "#20418: after a pause, answers to old messages prove leadership",
        _old_answers_prove_leadership,
        ("late-answers",),
        3.0,
        BUSY | {"traffic": ("put", "get", "get")},
    ),
    "hand-over-of-any-term": Mutant(
        "row 15: a leader takes proposals that were handed over for another term",
        _accept_any_hand_over,
        ("relay",),
        4.0,
        BUSY,
    ),
    "forwarded-again-blindly": Mutant(
        "what was forwarded on a connection that broke is forwarded again, taken or not",
        _forward_again_blindly,
        ("reset",),
        0.2,
        BUSY,
    ),
    "proposed-again-too-early": Mutant(
        "row 15: what may still be committed is proposed again",
        _propose_again_too_early,
        ("kill", "isolate", "pause", "move-leader"),
        0.6,
        BUSY,
    ),
    "stock": Mutant(
        "all guards and all durability at once: what the library does by itself",
        _stock,
        ("island", "kill", "power-loss"),
        1.0,
        BUSY,
    ),
}
