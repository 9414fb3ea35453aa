"""What a leader knows of one other member.

Match and next index and the time of the last answer are the library's, which counts by them. Of them and of what is
sent ahead is true while this member leads: `match_index` < `next_index`, or equal when a reset answered late; entries
from `next_index` on were not sent; those from `match_index` + 1 to before it are `ahead`, or lost with a connection.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import IO

from kvstore.raft.pysync.imported import Node
from kvstore.raft.snapshots import Snapshot

# Bounds of what is sent ahead of acknowledgements to one member; enough to fill a LAN, small against a frozen peer.
MAX_BYTES_AHEAD = 16 << 20
MAX_MESSAGES_AHEAD = 128
SNAPSHOT_PIECE_BYTES = 256 << 10
SNAPSHOT_PIECES_AHEAD = 8


@dataclass(slots=True)
class SnapshotTransfer:
    """A snapshot on its way; the open file survives the arrival of a newer one."""

    snapshot: Snapshot
    file: IO[bytes]
    sent: int = 0
    acknowledged: int = 0
    progress_at: float = 0.0


@dataclass(slots=True)
class Progress:
    """One other member, by its name."""

    name: str
    node: Node
    """The same, as the library's object."""
    _match: dict[Node, int]
    _next: dict[Node, int]
    _answered: dict[Node, float]
    is_voter: bool = False
    """Its votes and acknowledgements count. Neither a learner's do, nor those of who is in no configuration here."""
    connected: bool = False
    is_emptied: bool = False
    """It lost its disk and has not caught up: nothing it says counts (`rejoin`)."""
    awaits_commit: int = 0
    """A caller on that member waits for this index to be applied: its commit is told at once."""
    rewound_at: int = 0
    """Answers to messages before this number cannot rewind again."""
    sent_commit: int = 0
    """The commit index it was told."""
    ahead: deque[tuple[int, int]] = field(default_factory=deque)
    """(last index, bytes) of each message with entries that is not acknowledged."""
    bytes_ahead: int = 0
    transfer: SnapshotTransfer | None = None

    def count(self, matched: dict[Node, int] | None) -> None:
        """Let what it acknowledges count, by standing in `matched`; None = not any more."""
        self.is_voter = matched is not None
        index = self._match.pop(self.node, 0)
        self._match = {} if matched is None else matched
        self._match[self.node] = index

    @property
    def match_index(self) -> int:
        """How far its log is known to be equal, and durable there."""
        return self._match.get(self.node, 0)

    @match_index.setter
    def match_index(self, index: int) -> None:
        self._match[self.node] = index

    @property
    def next_index(self) -> int:
        """The entry to send to it next."""
        return self._next.get(self.node, 0)

    @next_index.setter
    def next_index(self, index: int) -> None:
        self._next[self.node] = index

    def answered(self, now: float) -> None:
        """It was heard in this term; a leader that hears no majority steps down by these times."""
        self._answered[self.node] = now

    def note_sent(self, last_index: int, size: int) -> None:
        """A message with entries left."""
        self.ahead.append((last_index, size))
        self.bytes_ahead += size

    def note_matched(self, index: int) -> None:
        """All up to `index` is acknowledged."""
        while self.ahead and self.ahead[0][0] <= index:
            self.bytes_ahead -= self.ahead.popleft()[1]

    def forget_ahead(self, next_number: int) -> None:
        """What was sent is lost or refused; only answers to messages from `next_number` on count."""
        self.ahead.clear()
        self.bytes_ahead = 0
        self.rewound_at = next_number

    def end_transfer(self) -> None:
        """No snapshot is on its way."""
        if self.transfer is not None:
            self.transfer.file.close()
            self.transfer = None

    @property
    def may_send(self) -> bool:
        """Whether more entries may be sent ahead."""
        return self.bytes_ahead < MAX_BYTES_AHEAD and len(self.ahead) < MAX_MESSAGES_AHEAD
