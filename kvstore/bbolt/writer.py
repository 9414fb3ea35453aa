"""A bbolt file written in one pass from keys in order, packed full: nothing is ever rewritten but the two metas.

Leaves go out as they fill; only their first keys are kept, of which the branches are made when a bucket ends. So memory
stays small whatever the size, and the file has no free page.
"""

from typing import Protocol

from kvstore.bbolt.format import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET,
    BUCKET_ELEMENT,
    CHECKSUM,
    FREELIST,
    LEAF,
    LEAF_ELEMENT,
    MAGIC,
    MAX_ELEMENTS,
    META,
    META_BODY,
    PAGE,
    PAGE_BYTES,
    VERSION,
    fnv64a,
)

_FREELIST_PAGE = 2
_FIRST_PAGE = 3
_TRANSACTION = 1


class Output(Protocol):
    """A file open for writing at any place."""

    def seek(self, offset: int, /) -> int:
        """Go there."""
        ...

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""
        ...


class Writer:
    """Buckets one after the other: `begin`, `put` in ascending order of keys, `end`; at last `close`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._next_page = _FIRST_PAGE
        self._name: bytes | None = None
        self._last_key: bytes | None = None
        self._buckets: dict[bytes, int] = {}
        self._elements: list[tuple[bytes, bytes]] = []
        self._bytes = PAGE.size
        self._leaves: list[tuple[bytes, int]] = []
        output.seek(_FIRST_PAGE * PAGE_BYTES)

    def begin(self, name: bytes) -> None:
        """Open a bucket. Raises ValueError for a second one of that name, or inside another."""
        if self._name is not None or name in self._buckets or not name:
            raise ValueError(f"bucket {name!r} cannot begin here")
        self._name, self._last_key = name, None

    def put(self, key: bytes, value: bytes) -> None:
        """Add a pair. Raises ValueError unless `key` is longer than nothing and above the one before."""
        if self._name is None or not key or (self._last_key is not None and key <= self._last_key):
            raise ValueError(f"key {key!r} is out of order")
        self._last_key = key
        size = LEAF_ELEMENT.size + len(key) + len(value)
        if self._elements and (
            self._bytes + size > PAGE_BYTES or len(self._elements) >= MAX_ELEMENTS
        ):
            self._flush_leaf()
        self._elements.append((key, value))
        self._bytes += size

    def end(self) -> None:
        """Close the bucket."""
        if self._name is None:
            raise ValueError("no bucket is open")
        if self._elements or not self._leaves:
            self._flush_leaf()
        self._buckets[self._name] = self._tree(self._leaves)
        self._leaves, self._name = [], None

    def close(self) -> int:
        """Write the root bucket, the free list and the metas; the size of the file in bytes."""
        if self._name is not None:
            raise ValueError(f"bucket {self._name!r} is still open")
        for name, root in sorted(self._buckets.items()):
            value = BUCKET.pack(root, 0)
            size = LEAF_ELEMENT.size + len(name) + len(value)
            if self._elements and self._bytes + size > PAGE_BYTES:
                self._flush_leaf(BUCKET_ELEMENT)
            self._elements.append((name, value))
            self._bytes += size
        if self._elements or not self._leaves:
            self._flush_leaf(BUCKET_ELEMENT)
        root = self._tree(self._leaves)
        self._output.seek(0)
        for number in (0, 1):
            body = META_BODY.pack(
                MAGIC,
                VERSION,
                PAGE_BYTES,
                0,
                root,
                0,
                _FREELIST_PAGE,
                self._next_page,
                _TRANSACTION - 1 + number,
            )
            page = PAGE.pack(number, META, 0, 0) + body + CHECKSUM.pack(fnv64a(body))
            self._output.write(page.ljust(PAGE_BYTES, b"\0"))
        self._output.write(PAGE.pack(_FREELIST_PAGE, FREELIST, 0, 0).ljust(PAGE_BYTES, b"\0"))
        return self._next_page * PAGE_BYTES

    def _flush_leaf(self, flags: int = 0) -> None:
        elements, self._elements, self._bytes = self._elements, [], PAGE.size
        headers: list[bytes] = []
        bodies: list[bytes] = []
        position = LEAF_ELEMENT.size * len(elements)
        for key, value in elements:
            headers.append(LEAF_ELEMENT.pack(flags, position, len(key), len(value)))
            bodies += (key, value)
            position += len(key) + len(value) - LEAF_ELEMENT.size
        page = self._write_page(LEAF, len(elements), b"".join(headers + bodies))
        self._leaves.append((elements[0][0] if elements else b"", page))

    def _tree(self, children: list[tuple[bytes, int]]) -> int:
        """Branches over `children` until one page is left: the root."""
        while len(children) > 1:
            parents: list[tuple[bytes, int]] = []
            group: list[tuple[bytes, int]] = []
            size = PAGE.size
            for child in children:
                grown = BRANCH_ELEMENT.size + len(child[0])
                # At least two children, however long their keys, or the tree would never end.
                if len(group) > 1 and (size + grown > PAGE_BYTES or len(group) >= MAX_ELEMENTS):
                    parents.append(self._write_branch(group))
                    group, size = [], PAGE.size
                group.append(child)
                size += grown
            parents.append(self._write_branch(group))
            children = parents
        return children[0][1]

    def _write_branch(self, children: list[tuple[bytes, int]]) -> tuple[bytes, int]:
        headers: list[bytes] = []
        bodies: list[bytes] = []
        position = BRANCH_ELEMENT.size * len(children)
        for key, page in children:
            headers.append(BRANCH_ELEMENT.pack(position, len(key), page))
            bodies.append(key)
            position += len(key) - BRANCH_ELEMENT.size
        return children[0][0], self._write_page(BRANCH, len(children), b"".join(headers + bodies))

    def _write_page(self, flags: int, count: int, body: bytes) -> int:
        page = self._next_page
        overflow = (PAGE.size + len(body) - 1) // PAGE_BYTES
        data = PAGE.pack(page, flags, count, overflow) + body
        self._output.write(data.ljust((overflow + 1) * PAGE_BYTES, b"\0"))
        self._next_page += overflow + 1
        return page
