"""When word of a commit may wait for the next entries (requirements: writes stay quick on all members)."""

from kvstore.raft.pysync.commit_notices import STREAK, WAIT_SECONDS, CommitNotices


def rhythm(notices: CommitNotices, gap: float, times: int, start: float = 0.0) -> float:
    """A client that writes again `gap` seconds after each commit; the time at the end."""
    now = start
    for _ in range(times):
        notices.may_wait(now)
        now += gap
        notices.followed(now)
    return now


def test_a_first_commit_is_told_at_once() -> None:
    notices = CommitNotices()
    assert not notices.may_wait(1.0)
    assert notices.due_at == float("inf")


def test_after_a_streak_the_next_entry_is_waited_for() -> None:
    notices = CommitNotices()
    now = rhythm(notices, 0.0004, STREAK)
    assert notices.may_wait(now)
    assert notices.due_at == now + WAIT_SECONDS
    # The other member is asked for in the same turn, and it waits, too.
    assert notices.may_wait(now)
    notices.followed(now + 0.0004)
    assert notices.due_at == float("inf")
    assert notices.may_wait(now + 0.001)


def test_one_less_than_a_streak_is_none() -> None:
    notices = CommitNotices()
    assert not notices.may_wait(rhythm(notices, 0.0004, STREAK - 1))


def test_who_waited_in_vain_is_told_in_time_and_the_streak_is_over() -> None:
    notices = CommitNotices()
    now = rhythm(notices, 0.0004, 2 * STREAK)
    assert notices.may_wait(now)
    assert notices.may_wait(now + WAIT_SECONDS / 2)
    assert not notices.may_wait(now + WAIT_SECONDS)
    assert not notices.may_wait(now + WAIT_SECONDS)
    notices.followed(now + 1.0)
    assert not notices.may_wait(now + 1.001)


def test_slow_writers_are_never_waited_for() -> None:
    notices = CommitNotices()
    assert not notices.may_wait(rhythm(notices, 0.01, 100))


def test_entries_that_come_late_end_a_streak() -> None:
    notices = CommitNotices()
    now = rhythm(notices, 0.0004, 2 * STREAK)
    now = rhythm(notices, 0.002, 1, now)
    assert not notices.may_wait(now)


def test_what_waits_ends_in_time_even_if_nobody_can_be_told() -> None:
    notices = CommitNotices()
    now = rhythm(notices, 0.0004, 2 * STREAK)
    assert notices.may_wait(now)
    notices.expire(now + WAIT_SECONDS / 2)
    assert notices.due_at == now + WAIT_SECONDS
    notices.expire(now + WAIT_SECONDS)
    assert notices.due_at == float("inf")
