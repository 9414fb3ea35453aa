"""One named, pure rule for each thing PySyncObj 0.3.17 gets wrong in its messages.

The rules know no sockets and no library: they look at a message and at a view of local state and say what the library
may be shown. `overrides` applies them. The name of a rule says what it upholds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kvstore.raft.journal import Entry
from kvstore.raft.pysync.messages import AppendEntries, Message, PreVote, SnapshotPiece


class SafetyViolated(RuntimeError):
    """What was heard contradicts what is committed here. The process must end; nothing may be repaired."""


def log_end(said: object) -> tuple[int, int] | None:
    """Where a member says that its log ends: (term, index); None for anything else."""
    if isinstance(said, list) and len(said) == 2 and all(isinstance(one, int) for one in said):
        return said[0], said[1]
    return None


@dataclass(frozen=True, slots=True)
class AppendPlan:
    """What to do with an AppendEntries.

    `rewind_to` is set: nothing matches; ask the leader to go on there. Otherwise the library may be shown `entries`
    behind (`previous_index`, `previous_term`), which is its own log's end or a true conflict; `covered` is
    how far the two logs are now known to be equal, and the most that may be acknowledged or committed by it.
    """

    rewind_to: int | None
    previous_index: int
    previous_term: int
    entries: Sequence[Entry]
    covered: int


def plan_append(
    previous_index: int,
    previous_term: int,
    entries: Sequence[Entry],
    term_at: Callable[[int], int | None],
    base_index: int,
    last_index: int,
    commit_index: int,
) -> AppendPlan:
    """Rows 1 and 2: never cut a suffix that matches, acknowledge only what the message covers."""
    covered = previous_index + len(entries)
    if previous_index == last_index and previous_index > base_index:
        # As nearly always: what follows the end follows it, if the end is the same.
        own = term_at(last_index)
        if own == previous_term:
            return AppendPlan(None, last_index, previous_term, entries, covered)
    if previous_index > last_index:
        return AppendPlan(last_index + 1, 0, 0, (), 0)
    if previous_index < base_index:
        # Entries up to the base are committed and in a snapshot: they match by what committed means.
        skip = base_index - previous_index
        if skip >= len(entries):
            last_term = term_at(last_index) or 0
            return AppendPlan(None, last_index, last_term, (), min(covered, base_index))
        entries = entries[skip:]
        previous_index = base_index
    elif (own := term_at(previous_index)) != previous_term:
        if previous_index <= commit_index:
            raise SafetyViolated(
                f"the leader's entry {previous_index} has term {previous_term}, the one committed here {own}"
            )
        return AppendPlan(_start_of_term(previous_index, term_at, commit_index), 0, 0, (), 0)
    for position, (_, index, term) in enumerate(entries):
        own = term_at(index)
        if own == term:
            continue
        if own is not None and index <= commit_index:
            raise SafetyViolated(
                f"the leader's entry {index} has term {term}, the one committed here {own}"
            )
        before = index - 1
        return AppendPlan(None, before, term_at(before) or 0, entries[position:], covered)
    return AppendPlan(None, last_index, term_at(last_index) or 0, (), covered)


def _start_of_term(index: int, term_at: Callable[[int], int | None], commit_index: int) -> int:
    """Row 12: go back by a whole term, not by one entry a message."""
    term = term_at(index)
    while index > commit_index + 1 and term_at(index - 1) == term:
        index -= 1
    return index


def ack_counts(term: int, current_term: int) -> bool:
    """Row 3: an acknowledgement counts only in the term it was given for."""
    return term == current_term


def reset_counts(sequence: int, rewound_at: int) -> bool:
    """Row 12: a reset that answers a message sent before the last rewind says nothing new."""
    return sequence >= rewound_at


def may_vote_now(is_transfer: bool, leader_is_alive: bool) -> bool:
    """Row 14: while a leader is heard, no vote is given, unless that leader asked for the election."""
    return is_transfer or not leader_is_alive


def is_up_to_date(last_index: int, last_term: int, own_last_index: int, own_last_term: int) -> bool:
    """A candidate must hold at least what this member holds (Raft paper 5.4.1)."""
    return (last_term, last_index) >= (own_last_term, own_last_index)


def grants_pre_vote(
    message: PreVote, current_term: int, own_last: tuple[int, int], leader_is_alive: bool
) -> bool:
    """Row 14: would this member vote for the sender, were there an election? `own_last` = (index, term)."""
    return (
        message.term > current_term
        and not leader_is_alive
        and is_up_to_date(message.last_index, message.last_term, *own_last)
    )


def vote_counts(
    sender: str, voted: set[str], message_term: int, current_term: int, members: set[str]
) -> bool:
    """Row 18: one vote a member, members only, this term only."""
    return message_term == current_term and sender in members and sender not in voted


def snapshot_is_news(index: int, last_applied: int) -> bool:
    """Row 4: a snapshot may only move the state forward."""
    return index > last_applied


def may_be_heard(kind: type[Message]) -> bool:
    """Whether a member that lost its disk, and has not caught up, may say this: nobody follows it.

    It may lead others that lost theirs, by a log that only looks like a part of the one here.
    """
    return kind is not AppendEntries and kind is not SnapshotPiece


def keeps_suffix(index: int, term: int, term_at: Callable[[int], int | None]) -> bool:
    """Row 4: entries behind a snapshot stay if the log agrees with it at its end."""
    return term_at(index) == term


def committed(
    matched: Iterable[int],
    own_index: int,
    commit_index: int,
    term: int,
    term_at: Callable[[int], int | None],
) -> int:
    """How far a leader may say that its log is committed; never less than `commit_index`.

    An entry counts once a majority holds it, this member included (`own_index`), and only one of the leader's own
    term commits itself and all before it (Raft paper, 5.3 and 5.4.2).
    """
    ends = sorted((*matched, own_index))
    index = min(ends[(len(ends) - 1) // 2], own_index)
    return index if index > commit_index and term_at(index) == term else commit_index


def countable_index(last_index: int, durable_index: int) -> int:
    """The leader counts itself only up to what its own disk holds (row 7)."""
    return min(last_index, durable_index)


def may_leave(
    covered: int, message_term: int, current_term: int, durable_index: int, vote_is_durable: bool
) -> bool | None:
    """Row 7: votes and acknowledgements leave after the fsync that covers them. None = never: the term has passed."""
    if message_term != current_term:
        return None
    return vote_is_durable and covered <= durable_index
