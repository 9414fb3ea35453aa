"""What a leader knows of one other member beside the library's match and next index."""

from collections import deque
from dataclasses import dataclass, field
from typing import IO

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
    """`rewound_at`: answers to messages before it cannot rewind again. `sent_commit`: told commit index."""

    connected: bool = False
    is_emptied: bool = False
    """It lost its disk and has not caught up: nothing it says counts (`rejoin`)."""
    awaits_commit: int = 0
    """Somebody there waits for this index to be applied: word of its commit is not put off."""
    rewound_at: int = 0
    sent_commit: int = 0
    ahead: deque[tuple[int, int]] = field(default_factory=deque)
    """(last index, bytes) of each message with entries that is not acknowledged."""
    bytes_ahead: int = 0
    transfer: SnapshotTransfer | None = None

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
