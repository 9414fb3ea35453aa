"""When word of a new commit index may wait for the next entries, which carry it anyway.

A client that writes one thing after another makes a leader send every member two messages a write: the entry, and
that it is committed. If the next entry is about to follow, the second is a message, a wake-up and a turn for nothing.
So the leader watches its own recent past: if the last entries each came right after the commit before them, the next
is expected to, too, and word is put off for a moment. What waits is only what members do with a committed entry:
apply it, tell watchers. Nobody who waits at a member for an index is made to wait: that is sent at once.
"""

# An entry so soon after a commit was on its way already.
SOON_SECONDS = 0.001
# How long word waits at most; more than the next entry needs, so that the timer seldom has a turn for nothing.
WAIT_SECONDS = 0.003
# So many times in a row before the next time is expected.
STREAK = 8


class CommitNotices:
    """One leader's expectation. Times are the clock's `monotonic`, in seconds."""

    def __init__(self) -> None:
        self.due_at = float("inf")
        """When word that waits must be sent."""
        self._is_waiting = False
        self._committed_at = float("-inf")
        self._streak = 0

    def may_wait(self, now: float) -> bool:
        """Whether word of a commit, noticed `now`, may be left to the next entries."""
        if self._is_waiting:
            if now < self.due_at:
                return True
            self.expire(now)
            return False
        self._committed_at = now
        if self._streak < STREAK:
            return False
        self.due_at, self._is_waiting = now + WAIT_SECONDS, True
        return True

    def expire(self, now: float) -> None:
        """End what waited too long, whether somebody could be told or not: nothing followed, the streak is over."""
        if self._is_waiting and now >= self.due_at:
            self._streak = 0
            self.due_at, self._is_waiting = float("inf"), False

    def followed(self, now: float) -> None:
        """An entry is about to leave, and with it all that waited."""
        if now - self._committed_at <= SOON_SECONDS:
            self._streak += 1
        else:
            self._streak = 0
        self.due_at, self._is_waiting = float("inf"), False
