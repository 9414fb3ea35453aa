"""Mistakes in elections, and in how a member that lost its disk gets its vote back."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from kvstore.raft.pysync import (
    guards,
    messages,
    overrides,
    progress,
    recovery,
    rejoin,
)
from kvstore.testing.mutants.mutant import BUSY, Mutant, Patch


def _vote_for_anybody() -> Sequence[Patch]:
    original = _Sync.on_request_vote

    def on_request_vote(self: Any, progress: Any, message: Any) -> None:
        original(self, progress, replace(message, last_index=1 << 40, last_term=1 << 40))

    grants = guards.grants_pre_vote

    def grants_pre_vote(message: Any, *rest: Any) -> bool:
        return grants(replace(message, last_index=1 << 40, last_term=1 << 40), *rest)

    return [
        (_Sync, "on_request_vote", on_request_vote),
        (guards, "grants_pre_vote", grants_pre_vote),
    ]


def _votes_by_message() -> Sequence[Patch]:
    def on_vote(self: Any, progress: Any, message: Any) -> None:
        if message.term == self.term():
            vote = messages.vote_for_library(message)
            self._pass_on(progress, vote)
            self._pass_on(progress, vote)

    return [(_Sync, "on_vote", on_vote)]


def _lose_vote(self: Any, member: Any, message: Any) -> None:
    self._sync.may_vote = False
    self._rejoin.is_emptied = True


_Sync: Any = overrides.GuardedSyncObj


ELECTIONS_MUTANTS: dict[str, Mutant] = {
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
        BUSY,
    ),
    "emptied-member-votes": Mutant(
        "a member that lost its data votes before it has it again",
        lambda: [(recovery.Recovery, "on_unknown_store", lambda self, member, message: None)],
        ("voted-twice",),
        4.0,
        {"members": 5, "think_seconds": 0.8, "traffic": ("put", "get")},
    ),
    "emptied-member-counts": Mutant(
        "others count a member that lost its data before it has it again",
        lambda: [(progress.Progress, "is_emptied", property(lambda _: False, lambda *_: None))],
        ("old-leader-fills",),
        1.0,
        {"members": 3} | BUSY,
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
        lambda: [(recovery.Recovery, "on_unknown_store", _lose_vote)],
        ("wipe", "slow-network"),
        0.8,
        {"members": 3} | BUSY,
    ),
}
