"""Numbers and structures of a bbolt file (bbolt's page.go, bucket.go and meta; little endian).

A file is pages of one size. A page begins with its id, flags, element count and the number of further pages it spills
into. Pages 0 and 1 are metas, of which the valid one with the higher transaction id counts; it names the root bucket's
page and the free list's. Leaf elements are key and value, or key and bucket; branch elements are the first key of a
page and its id. Element positions count from the element itself.
"""

import struct
from typing import Final

MAGIC: Final = 0xED0CDAED
VERSION: Final = 2
PAGE_BYTES: Final = 4096

BRANCH, LEAF, META, FREELIST = 0x01, 0x02, 0x04, 0x10
BUCKET_ELEMENT: Final = 0x01
MAX_ELEMENTS: Final = 0xFFFF

PAGE: Final = struct.Struct("<QHHL")
"""id, flags, count, overflow"""
LEAF_ELEMENT: Final = struct.Struct("<LLLL")
"""flags, position, key size, value size"""
BRANCH_ELEMENT: Final = struct.Struct("<LLQ")
"""position, key size, page id"""
BUCKET: Final = struct.Struct("<QQ")
"""root page (0: its only page follows inline), sequence"""
META_BODY: Final = struct.Struct("<LLLLQQQQQ")
"""magic, version, page size, flags, root bucket's page, its sequence, free list's page, pages in all, transaction"""
CHECKSUM: Final = struct.Struct("<Q")


class BadFile(ValueError):
    """The bytes are no whole bbolt file; the text says where and what."""


def fnv64a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, a meta's checksum."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFF_FFFF_FFFF_FFFF
    return value
