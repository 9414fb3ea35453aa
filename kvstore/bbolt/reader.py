"""A bbolt file read back, trusting nothing: every offset is checked, every page visited once at most."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from kvstore.bbolt.format import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET,
    BUCKET_ELEMENT,
    CHECKSUM,
    LEAF,
    LEAF_ELEMENT,
    MAGIC,
    META,
    META_BODY,
    PAGE,
    VERSION,
    BadFile,
    fnv64a,
)

_MAX_DEPTH = 64


class Buffer(Protocol):
    """Bytes, or a file mapped into memory."""

    def __len__(self) -> int:
        """How many bytes."""
        ...

    def __getitem__(self, part: slice, /) -> bytes:
        """Some of them."""
        ...


class Reader:
    """The buckets of a file. Raises BadFile on what is not one, here or while reading on."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._page_bytes, self._root, self._pages = self._meta()
        self._buckets: dict[bytes, bytes] = {}
        for flags, key, value in self._page(self._root):
            if not flags & BUCKET_ELEMENT or len(value) < BUCKET.size:
                raise BadFile(f"the root holds {key!r}, which is no bucket")
            self._buckets[key] = value

    @property
    def size_bytes(self) -> int:
        """All pages, without what may follow them."""
        return self._pages * self._page_bytes

    @property
    def names(self) -> Sequence[bytes]:
        """The buckets' names, in order."""
        return list(self._buckets)

    def items(self, name: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of a bucket in order; none if there is no such bucket."""
        value = self._buckets.get(name)
        if value is None:
            return
        root, _ = BUCKET.unpack_from(value)
        elements = self._page(root) if root else self._inline(value[BUCKET.size :], name)
        for flags, key, content in elements:
            if flags & BUCKET_ELEMENT:
                raise BadFile(f"bucket {name!r} holds another bucket, {key!r}")
            yield key, content

    def _meta(self) -> tuple[int, int, int]:
        found: tuple[int, int, int, int] | None = None
        problem = "it is shorter than a page"
        # The second meta stands a page behind the first, whose size only a meta tells.
        for offset in (0, *(1 << shift for shift in range(9, 17))):
            head = self._data[offset : offset + PAGE.size + META_BODY.size + CHECKSUM.size]
            if len(head) < PAGE.size + META_BODY.size + CHECKSUM.size:
                break
            body = head[PAGE.size : PAGE.size + META_BODY.size]
            magic, version, page_bytes, _, root, _, _, pages, transaction = META_BODY.unpack(body)
            if magic != MAGIC or not PAGE.unpack_from(head)[1] & META:
                if offset == 0:
                    problem = "no magic number at offset 0"
                continue
            if version != VERSION:
                problem = f"version {version} at offset {offset}"
            elif CHECKSUM.unpack_from(head, PAGE.size + META_BODY.size)[0] != fnv64a(body):
                problem = f"the meta page at offset {offset} does not match its checksum"
            elif page_bytes < 512 or page_bytes & (page_bytes - 1) or offset not in (0, page_bytes):
                problem = f"page size {page_bytes} at offset {offset}"
            elif found is None or transaction > found[0]:
                found = (transaction, page_bytes, root, pages)
        if found is None:
            raise BadFile(f"no bbolt file: {problem}")
        _, page_bytes, root, pages = found
        if pages * page_bytes > len(self._data):
            raise BadFile(
                f"cut off: {pages} pages of {page_bytes} bytes, but only {len(self._data)} bytes"
            )
        return page_bytes, root, pages

    def _page(self, root: int) -> Iterator[tuple[int, bytes, bytes]]:
        seen: set[int] = set()
        stack = [iter((root,))]
        while stack:
            number = next(stack[-1], None)
            if number is None:
                stack.pop()
                continue
            if number in seen or not 2 <= number < self._pages or len(stack) > _MAX_DEPTH:
                raise BadFile(f"page {number} cannot be where it is named")
            seen.add(number)
            offset = number * self._page_bytes
            own, flags, count, overflow = PAGE.unpack(self._data[offset : offset + PAGE.size])
            if own != number or number + overflow >= self._pages:
                raise BadFile(f"page {number} at offset {offset} is damaged")
            page = self._data[offset : offset + (overflow + 1) * self._page_bytes]
            if flags & LEAF:
                yield from _leaf(page, count, offset)
            elif flags & BRANCH:
                stack.append(iter(_branch(page, count, offset)))
            else:
                raise BadFile(f"page {number} at offset {offset} is of an unknown kind {flags:#x}")

    def _inline(self, page: bytes, name: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        if len(page) < PAGE.size:
            raise BadFile(f"bucket {name!r} is cut off")
        _, flags, count, _ = PAGE.unpack_from(page)
        if not flags & LEAF:
            raise BadFile(f"bucket {name!r} is of an unknown kind {flags:#x}")
        yield from _leaf(page, count, 0)


def _leaf(page: bytes, count: int, offset: int) -> Iterator[tuple[int, bytes, bytes]]:
    for index in range(count):
        at = PAGE.size + index * LEAF_ELEMENT.size
        if at + LEAF_ELEMENT.size > len(page):
            raise BadFile(f"element {index} of the page at offset {offset} is cut off")
        flags, position, key_size, value_size = LEAF_ELEMENT.unpack_from(page, at)
        begin, end = at + position, at + position + key_size + value_size
        if end > len(page):
            raise BadFile(f"element {index} of the page at offset {offset} reaches beyond it")
        yield flags, page[begin : begin + key_size], page[begin + key_size : end]


def _branch(page: bytes, count: int, offset: int) -> list[int]:
    if PAGE.size + count * BRANCH_ELEMENT.size > len(page):
        raise BadFile(f"the page at offset {offset} is cut off")
    return [
        BRANCH_ELEMENT.unpack_from(page, PAGE.size + index * BRANCH_ELEMENT.size)[2]
        for index in range(count)
    ]
