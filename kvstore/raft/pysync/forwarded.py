"""Packs of proposals that other members handed to this leader and that are not in its log yet.

While an fsync runs they gather here; a disk that hangs must not let them fill the memory, so their bytes are bounded
and what does not fit is refused, for the sender to keep and offer again.
"""

from collections import deque

from kvstore.raft.proposals import MAX_BYTES_IN_FLIGHT, Pack
from kvstore.raft.pysync.messages import Forward
from kvstore.raft.replicator import MemberId


class Forwarded:
    """A queue of packs, each with its sender and as it was handed over."""

    def __init__(self, max_bytes: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._max_bytes = max_bytes
        self._packs: deque[tuple[MemberId, Forward]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._packs)

    def add(self, member: MemberId, forward: Forward) -> bool:
        """Queue what `member` hands over; False if it does not fit."""
        size = _size(forward.pack)
        if self._packs and self._bytes + size > self._max_bytes:
            return False
        self._packs.append((member, forward))
        self._bytes += size
        return True

    def take(self, max_bytes: int, *, at_least_one: bool) -> list[Pack]:
        """The oldest packs, up to `max_bytes` together."""
        taken: list[Pack] = []
        total = 0
        while self._packs:
            pack = self._packs[0][1].pack
            size = _size(pack)
            total += size
            if total > max_bytes and (taken or not at_least_one):
                break
            self._packs.popleft()
            self._bytes -= size
            taken.append(pack)
        return taken

    def packs(self) -> list[Pack]:
        """All that wait."""
        return [forward.pack for _, forward in self._packs]

    def clear(self) -> list[tuple[MemberId, Forward]]:
        """Forget all; what was queued."""
        packs = list(self._packs)
        self._packs.clear()
        self._bytes = 0
        return packs


def is_pack_of(pack: Pack, member: MemberId) -> bool:
    """Whether `pack` is its sender's own, and has a number for each command."""
    return pack[0] == member and len(pack[2]) == len(pack[3])


def _size(pack: Pack) -> int:
    return sum(len(command) for command in pack[3])
