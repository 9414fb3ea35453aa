"""Messages that promise something, held until the disk can keep it: votes and acknowledgements (row 7)."""

from collections.abc import Callable

from kvstore.raft.journal import Journal
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.messages import AppendReply, RequestVote, Vote

Promise = AppendReply | RequestVote | Vote
"""What holds only if it is not forgotten."""


class DurableSends:
    """Those of one member; `term` is the current one, and `send` sends at once."""

    def __init__(
        self, journal: Journal, term: Callable[[], int], send: Callable[[str, Promise], bool]
    ) -> None:
        self._journal, self._term, self._send = journal, term, send
        self._held: list[tuple[str, Promise, int]] = []

    def hold(self, node_id: str, message: Promise, covered: int) -> None:
        """Send once term, vote and the log up to `covered` are durable; never if the term passes before."""
        if self._may_leave(message, covered):
            self._send(node_id, message)
        else:
            self._held.append((node_id, message, covered))

    def release(self) -> None:
        """More is durable: send what that covers."""
        held, self._held = self._held, []
        for node_id, message, covered in held:
            leaves = self._may_leave(message, covered)
            if leaves:
                self._send(node_id, message)
            elif leaves is not None:
                self._held.append((node_id, message, covered))

    def forget(self, node_id: str) -> None:
        """The connection is gone. What is held for it is not sent on the next one, where the leader begins anew."""
        self._held = [held for held in self._held if held[0] != node_id]

    def _may_leave(self, message: Promise, covered: int) -> bool | None:
        journal = self._journal
        return guards.may_leave(
            covered, message.term, self._term(), journal.durable_index, journal.is_vote_durable
        )
