"""Header compression (RFC 7541): a decoder with its dynamic table, an encoder without state, and one with.

The decoder is fast by what repeats: a whole block that leaves the table as it is decodes to the same headers for as
long as the table stays, so it is remembered by its bytes until the table changes. It is bounded: the table by the size
we allow, the remembered blocks by number and length, a header list by `max_list_bytes` - one that goes beyond is still
read, for the table must stay in step with the peer's, and then refused.

The server's answers use `encode_plain`: literals that never enter the peer's table, so that they can be made once for
all connections. `Encoder` is the other half for clients and tests.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kvstore.wire.h2 import huffman

Header = tuple[bytes, bytes]
Decoded = TypeVar("Decoded")
"""What a header list is turned into once, to be remembered with its block."""

STATIC_TABLE: Final[tuple[Header, ...]] = tuple(
    (name, value)
    for name, *values in (
        (b":authority",),
        (b":method", b"GET", b"POST"),
        (b":path", b"/", b"/index.html"),
        (b":scheme", b"http", b"https"),
        (b":status", b"200", b"204", b"206", b"304", b"400", b"404", b"500"),
        (b"accept-charset",),
        (b"accept-encoding", b"gzip, deflate"),
        (b"accept-language",),
        (b"accept-ranges",),
        (b"accept",),
        (b"access-control-allow-origin",),
        (b"age",),
        (b"allow",),
        (b"authorization",),
        (b"cache-control",),
        (b"content-disposition",),
        (b"content-encoding",),
        (b"content-language",),
        (b"content-length",),
        (b"content-location",),
        (b"content-range",),
        (b"content-type",),
        (b"cookie",),
        (b"date",),
        (b"etag",),
        (b"expect",),
        (b"expires",),
        (b"from",),
        (b"host",),
        (b"if-match",),
        (b"if-modified-since",),
        (b"if-none-match",),
        (b"if-range",),
        (b"if-unmodified-since",),
        (b"last-modified",),
        (b"link",),
        (b"location",),
        (b"max-forwards",),
        (b"proxy-authenticate",),
        (b"proxy-authorization",),
        (b"range",),
        (b"referer",),
        (b"refresh",),
        (b"retry-after",),
        (b"server",),
        (b"set-cookie",),
        (b"strict-transport-security",),
        (b"transfer-encoding",),
        (b"user-agent",),
        (b"vary",),
        (b"via",),
        (b"www-authenticate",),
    )
    for value in (values or (b"",))
)
_STATIC_COUNT = len(STATIC_TABLE)
_LONGEST_STATIC = max(len(name) + len(value) for name, value in STATIC_TABLE)
_LAST_STATIC = 0x80 + _STATIC_COUNT
_FIRST_DYNAMIC = 0x80 + _STATIC_COUNT + 1
"""The octet that stands for the newest entry of the dynamic table."""

_STATIC_PAIR: Final = {pair: index for index, pair in reversed(list(enumerate(STATIC_TABLE, 1)))}
_STATIC_NAME: Final = {pair[0]: index for index, pair in reversed(list(enumerate(STATIC_TABLE, 1)))}

DEFAULT_TABLE_BYTES = 4096
_ENTRY_OVERHEAD = 32
"""What an entry counts beyond its name and value (RFC 7541, 4.1)."""

_MEMO_BLOCKS = 64
_MEMO_BLOCK_BYTES = 1024
_MEMO_STRINGS = 512
_MEMO_STRING_BYTES = 256
_MAX_INTEGER = 1 << 28
"""No length or index of an honest peer is near this; larger ones are refused before they cost anything."""


class HpackError(ValueError):
    """The block cannot be decoded; the connection's table is lost and the connection with it."""


class HeadersTooLarge(ValueError):
    """The header list is longer than allowed; the table is in step, only the stream is refused."""


class Decoder(Generic[Decoded]):
    """The reading side of one connection; `convert` makes of a header list what `decode` returns."""

    __slots__ = (
        "_allowed_bytes",
        "_capacity",
        "_convert",
        "_max_list_bytes",
        "_memo",
        "_strings",
        "_table",
        "_table_bytes",
    )

    def __init__(
        self,
        convert: Callable[[tuple[Header, ...]], Decoded],
        max_list_bytes: int = 65_536,
        max_table_bytes: int = DEFAULT_TABLE_BYTES,
    ) -> None:
        self._convert = convert
        self._max_list_bytes = max_list_bytes
        self._allowed_bytes = max_table_bytes
        self._capacity = max_table_bytes
        self._table: deque[Header] = deque()
        self._table_bytes = 0
        self._memo: dict[bytes, Decoded] = {}
        self._strings: dict[bytes, bytes] = {}

    @property
    def table_bytes(self) -> int:
        """The size of the dynamic table as RFC 7541 counts it."""
        return self._table_bytes

    @property
    def memo_count(self) -> int:
        """How many blocks are remembered."""
        return len(self._memo)

    def table(self) -> tuple[Header, ...]:
        """The dynamic table, newest first."""
        return tuple(self._table)

    def decode(self, block: bytes) -> Decoded:
        """What a whole block stands for. Raises HpackError, HeadersTooLarge, and what `convert` raises."""
        known = self._memo.get(block)
        if known is not None:
            return known
        headers, is_stable = self._read_checked(block)
        decoded = self._convert(headers)
        if is_stable and len(block) <= _MEMO_BLOCK_BYTES:
            if len(self._memo) >= _MEMO_BLOCKS:
                self._memo.clear()
            self._memo[block] = decoded
        return decoded

    def read(self, block: bytes) -> tuple[Header, ...]:
        """The bare header list of a whole block. Raises HpackError or HeadersTooLarge."""
        return self._read_checked(block)[0]

    def _read_checked(self, block: bytes) -> tuple[tuple[Header, ...], bool]:
        try:
            return self._read(block)
        except IndexError:
            raise HpackError("a header block is cut off or names no field") from None
        except huffman.HuffmanError as error:
            raise HpackError(str(error)) from None

    def _read(self, block: bytes) -> tuple[tuple[Header, ...], bool]:
        """The headers, and whether the table is what it was before."""
        headers: list[Header] = []
        add = headers.append
        position, end = 0, len(block)
        is_stable = is_start = True
        table = self._table
        while position < end:
            first = block[position]
            if first & 0x80:
                # Most fields of a repeated request are one octet that names an entry of a table.
                position += 1
                if first > _LAST_STATIC and first != 0xFF:
                    add(table[first - _FIRST_DYNAMIC])
                elif 0x80 < first <= _LAST_STATIC:
                    add(STATIC_TABLE[first - 0x81])
                else:
                    index = 0
                    if first == 0xFF:
                        index, position = _integer(block, position, 0x7F)
                    add(self._field(index))
                is_start = False
                continue
            if first & 0x40:
                field, position = self._literal(block, position, 0x3F)
                self._insert(field)
                is_stable = False
            elif first & 0x20:
                if not is_start:
                    raise HpackError("a table size update follows a field")
                capacity, position = _prefixed(block, position, 0x1F)
                self._resize(capacity)
                is_stable = False
                continue
            else:
                field, position = self._literal(block, position, 0x0F)
            is_start = False
            add(field)
        # What is gathered are mere references to the table and pieces of the block. A list that cannot be too long
        # need not be added up: an entry is at most as long as its table, coded strings grow by 8/5 at most.
        count = len(headers)
        longest = max(self._allowed_bytes, _LONGEST_STATIC) + _ENTRY_OVERHEAD
        if count * longest + 2 * end > self._max_list_bytes:
            size = _ENTRY_OVERHEAD * count + sum(
                [len(name) + len(value) for name, value in headers]
            )
            if size > self._max_list_bytes:
                raise HeadersTooLarge(
                    f"the header list has {size} bytes, {self._max_list_bytes} are allowed"
                )
        return tuple(headers), is_stable

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Header, int]:
        index, position = _prefixed(block, position, mask)
        if index:
            name = self._field(index)[0]
        else:
            name, position = self._string(block, position)
        value, position = self._string(block, position)
        return (name, value), position

    def _field(self, index: int) -> Header:
        if 0 < index <= _STATIC_COUNT:
            return STATIC_TABLE[index - 1]
        if not _STATIC_COUNT < index <= _STATIC_COUNT + len(self._table):
            raise HpackError(f"there is no header field {index}")
        return self._table[index - _STATIC_COUNT - 1]

    def _string(self, block: bytes, position: int) -> tuple[bytes, int]:
        is_coded = block[position] & 0x80
        length, position = _prefixed(block, position, 0x7F)
        end = position + length
        if end > len(block):
            raise HpackError("a string is longer than its header block")
        data = block[position:end]
        if not is_coded:
            return data, end
        known = self._strings.get(data)
        if known is None:
            known = huffman.decode(data)
            if length <= _MEMO_STRING_BYTES:
                if len(self._strings) >= _MEMO_STRINGS:
                    self._strings.clear()
                self._strings[data] = known
        return known, end

    def _insert(self, field: Header) -> None:
        self._memo.clear()
        self._table_bytes += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        self._table.appendleft(field)
        self._evict()

    def _resize(self, capacity: int) -> None:
        if capacity > self._allowed_bytes:
            raise HpackError(f"a table of {capacity} bytes, {self._allowed_bytes} are allowed")
        self._memo.clear()
        self._capacity = capacity
        self._evict()

    def _evict(self) -> None:
        table = self._table
        while self._table_bytes > self._capacity:
            name, value = table.pop()
            self._table_bytes -= len(name) + len(value) + _ENTRY_OVERHEAD


def _prefixed(block: bytes, position: int, mask: int) -> tuple[int, int]:
    value = block[position] & mask
    if value < mask:
        return value, position + 1
    return _integer(block, position + 1, mask)


def _integer(block: bytes, position: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is full (RFC 7541, 5.1)."""
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if value > _MAX_INTEGER or shift > 28:
            raise HpackError("an integer is too large")
        if not byte & 0x80:
            return value, position
        shift += 7


def pack_integer(value: int, mask: int, flags: int = 0) -> bytes:
    """An integer with the prefix `mask` (2**bits - 1), `flags` in the bits above it."""
    if value < mask:
        return bytes((flags | value,))
    found = bytearray((flags | mask,))
    value -= mask
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _pack_string(text: bytes, is_coded: bool) -> bytes:
    if is_coded and text:
        coded = huffman.encode(text)
        if len(coded) <= len(text):
            return pack_integer(len(coded), 0x7F, 0x80) + coded
    return pack_integer(len(text), 0x7F) + text


def encode_plain(headers: tuple[Header, ...] | list[Header]) -> bytes:
    """A block that neither reads nor changes a dynamic table; good on every connection."""
    block = bytearray()
    for name, value in headers:
        index = _STATIC_PAIR.get((name, value))
        if index is not None:
            block += pack_integer(index, 0x7F, 0x80)
            continue
        index = _STATIC_NAME.get(name, 0)
        block += pack_integer(index, 0x0F)
        if not index:
            block += _pack_string(name, False)
        block += _pack_string(value, False)
    return bytes(block)


class Encoder:
    """The writing side with a dynamic table and Huffman strings, as clients do it."""

    def __init__(self, max_table_bytes: int = DEFAULT_TABLE_BYTES) -> None:
        self._capacity = max_table_bytes
        self._table: deque[Header] = deque()
        self._table_bytes = 0
        self._resized_to: int | None = None

    def resize(self, max_table_bytes: int) -> None:
        """Change the table's size; told to the peer at the start of the next block."""
        self._resized_to = self._capacity = max_table_bytes
        self._evict()

    def encode(
        self, headers: tuple[Header, ...] | list[Header], *, never: frozenset[bytes] = frozenset()
    ) -> bytes:
        """A block; names in `never` are sent as literals that nobody may index."""
        block = bytearray()
        if self._resized_to is not None:
            block += pack_integer(self._resized_to, 0x1F, 0x20)
            self._resized_to = None
        for field in headers:
            block += self._field(field, field[0] in never)
        return bytes(block)

    def _field(self, field: Header, is_secret: bool) -> bytes:
        name, value = field
        index = _STATIC_PAIR.get(field)
        if index is None and field in self._table:
            index = _STATIC_COUNT + 1 + self._table.index(field)
        if index is not None and not is_secret:
            return pack_integer(index, 0x7F, 0x80)
        name_index = _STATIC_NAME.get(name, 0)
        mask, flags = (0x0F, 0x10) if is_secret else (0x3F, 0x40)
        literal = pack_integer(name_index, mask, flags)
        if not name_index:
            literal += _pack_string(name, True)
        literal += _pack_string(value, True)
        if not is_secret:
            self._table.appendleft(field)
            self._table_bytes += len(name) + len(value) + _ENTRY_OVERHEAD
            self._evict()
        return literal

    def _evict(self) -> None:
        while self._table_bytes > self._capacity:
            name, value = self._table.pop()
            self._table_bytes -= len(name) + len(value) + _ENTRY_OVERHEAD
