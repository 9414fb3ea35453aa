"""OrderedKeys: a sorted set of keys as a list of sorted blocks.

One flat list makes an insert move megabytes once there are a million keys; a tree makes ranges slow. With blocks an
insert moves at most one block, and a range is a few slices.

New keys gather aside, in no order, until somebody asks for an order or there are many: who only writes, as a start
that reads its log back, pays for one sort of thousands instead of thousands of searches.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import pairwise

_BLOCK = 1024
"""A block is split at twice this: inserts move at most 16 KiB, and a million keys are about a thousand blocks."""

_FEW = 16
"""So many new keys of a block are inserted one by one; more are sorted into it."""

_GATHERED_AT_MOST = 8 * _BLOCK
"""New keys that gather: sorting that many in takes a few milliseconds."""


class OrderedKeys:
    """Distinct keys in byte order."""

    __slots__ = ("_blocks", "_firsts", "_gathered", "_length")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        ordered = sorted(keys)
        self._blocks = [
            ordered[start : start + _BLOCK] for start in range(0, len(ordered), _BLOCK)
        ] or [[]]
        # The lower bound of each block; the first block takes everything below the second.
        self._firsts: list[bytes] = [b"", *(block[0] for block in self._blocks[1:])]
        self._length = len(ordered)
        self._gathered: set[bytes] = set()

    def __len__(self) -> int:
        return self._length + len(self._gathered)

    def __iter__(self) -> Iterator[bytes]:
        self._sort_in()
        for block in self._blocks:
            yield from block

    def add(self, key: bytes) -> None:
        """Insert `key`, which must not be there."""
        gathered = self._gathered
        gathered.add(key)
        if len(gathered) >= _GATHERED_AT_MOST:
            self._sort_in()

    def add_all(self, keys: Iterable[bytes]) -> None:
        """Insert `keys`, distinct ones that must not be there."""
        self._gathered.update(keys)
        if len(self._gathered) >= _GATHERED_AT_MOST:
            self._sort_in()

    def _sort_in(self) -> None:
        """Bring what gathered to its place."""
        if not self._gathered:
            return
        keys = sorted(self._gathered)
        self._gathered.clear()
        self._length += len(keys)
        start = 0
        while start < len(keys):
            position = bisect_right(self._firsts, keys[start]) - 1
            block = self._blocks[position]
            is_last = position + 1 == len(self._firsts)
            stop = len(keys) if is_last else bisect_left(keys, self._firsts[position + 1], start)
            if stop - start <= _FEW:
                for key in keys[start:stop]:
                    insort(block, key)
            else:
                # Two sorted runs: that is one merge.
                block += keys[start:stop]
                block.sort()
            start = stop
            if len(block) > 2 * _BLOCK:
                self._split(position)

    def _split(self, position: int) -> None:
        """Cut a block that grew too long into some of the usual size."""
        block = self._blocks[position]
        parts = [block[start : start + _BLOCK] for start in range(0, len(block), _BLOCK)]
        self._blocks[position : position + 1] = parts
        self._firsts[position + 1 : position + 1] = [part[0] for part in parts[1:]]

    def remove(self, key: bytes) -> None:
        """Remove `key`; raises KeyError if it is not there."""
        if key in self._gathered:
            self._gathered.discard(key)
            return
        position = bisect_right(self._firsts, key) - 1
        block = self._blocks[position]
        offset = bisect_left(block, key)
        if offset == len(block) or block[offset] != key:
            raise KeyError(key)
        del block[offset]
        self._length -= 1
        if not block and position:
            # The block below takes over its span. The first block stays, even empty.
            del self._blocks[position]
            del self._firsts[position]

    def between(self, low: bytes, high: bytes | None) -> list[bytes]:
        """Keys in `[low, high)` in order; `high` None = no bound."""
        if high is not None and high <= low:
            return []
        if self._gathered:
            self._sort_in()
        first, start, last, stop = self._bounds(low, high)
        block = self._blocks[first]
        if first == last:
            return block[start:stop]
        found = block[start:]
        for middle in self._blocks[first + 1 : last]:
            found += middle
        found += self._blocks[last][:stop]
        return found

    def first_between(self, low: bytes, high: bytes | None, limit: int) -> tuple[list[bytes], int]:
        """The first `limit` of `between`, and how many there are: at the cost of those and of the blocks' number."""
        if high is not None and high <= low:
            return [], 0
        if self._gathered:
            self._sort_in()
        first, start, last, stop = self._bounds(low, high)
        blocks = self._blocks
        if first == last:
            return blocks[first][start : min(stop, start + limit)], stop - start
        found = blocks[first][start : start + limit]
        count = len(blocks[first]) - start + stop
        for middle in blocks[first + 1 : last]:
            count += len(middle)
            if len(found) < limit:
                found += middle[: limit - len(found)]
        if len(found) < limit:
            found += blocks[last][: min(stop, limit - len(found))]
        return found, count

    def _bounds(self, low: bytes, high: bytes | None) -> tuple[int, int, int, int]:
        """First block and where in it, last block and where in it, of a range that is not empty by its bounds."""
        first = bisect_right(self._firsts, low) - 1
        start = bisect_left(self._blocks[first], low)
        if high is None:
            last = len(self._blocks) - 1
            return first, start, last, len(self._blocks[last])
        last = bisect_right(self._firsts, high) - 1
        return first, start, last, bisect_left(self._blocks[last], high)

    def check_invariants(self) -> None:
        """Raise AssertionError if the blocks are not what the methods rely on."""
        keys = list(self)
        assert len(keys) == self._length
        assert all(low < high for low, high in pairwise(keys)), "not in order"
        assert len(self._firsts) == len(self._blocks)
        assert self._firsts[0] == b""
        for first, block in list(zip(self._firsts, self._blocks, strict=True))[1:]:
            assert block, "empty block"
            assert first <= block[0], "a key is below its block's bound"
