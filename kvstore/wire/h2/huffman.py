"""The Huffman code of header strings (RFC 7541, appendix B).

The code is canonical: within a length, codes ascend with their symbols, and each length goes on where the shorter one
ended. So the lengths alone define it. Decoding walks four bits at a time over a table made once at import: each entry
holds the next state, the symbol that ended, if any, and whether the input may end there (padding is at most 7 bits, all
ones). Header strings repeat, so callers memoise.
"""

from typing import Final

_EOS = 256

# fmt: off
_LENGTHS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)
# fmt: on


class HuffmanError(ValueError):
    """The bytes are no Huffman code: an end-of-string symbol inside, or wrong padding."""


def _codes() -> tuple[int, ...]:
    codes = [0] * len(_LENGTHS)
    code = length = 0
    for symbol_length, symbol in sorted((length, symbol) for symbol, length in enumerate(_LENGTHS)):
        code <<= symbol_length - length
        length = symbol_length
        codes[symbol] = code
        code += 1
    return tuple(codes)


_CODES: Final = _codes()

_Step = tuple[int, int, bool]
"""Next state (-1: no code), symbol that ended or -1, whether the string may end here."""


def _machine() -> list[tuple[_Step, ...]]:
    children: list[list[int]] = [[0, 0]]
    symbols: dict[int, int] = {}
    depth_of_ones: dict[int, int] = {0: 0}
    for symbol, (code, length) in enumerate(zip(_CODES, _LENGTHS, strict=True)):
        node, is_ones = 0, True
        for position in range(length - 1, -1, -1):
            bit = code >> position & 1
            is_ones = is_ones and bit == 1
            if not children[node][bit]:
                children.append([0, 0])
                children[node][bit] = len(children) - 1
            node = children[node][bit]
            if is_ones:
                depth_of_ones[node] = length - position
        symbols[node] = symbol
    return [
        tuple(_step(state, nibble, children, symbols, depth_of_ones) for nibble in range(16))
        if state not in symbols
        else ()
        for state in range(len(children))
    ]


def _step(
    state: int,
    nibble: int,
    children: list[list[int]],
    symbols: dict[int, int],
    depth_of_ones: dict[int, int],
) -> _Step:
    found = -1
    for position in (3, 2, 1, 0):
        state = children[state][nibble >> position & 1]
        symbol = symbols.get(state)
        if symbol == _EOS:
            return -1, -1, False
        if symbol is not None:
            # No code is shorter than 5 bits: at most one symbol ends within four.
            found, state = symbol, 0
    return state, found, depth_of_ones.get(state, 8) < 8


_MACHINE: Final = _machine()


def decode(data: bytes) -> bytes:
    """The string that `data` stands for. Raises HuffmanError."""
    found = bytearray()
    machine, state, may_end = _MACHINE, 0, True
    for byte in data:
        state, symbol, _ = machine[state][byte >> 4]
        if symbol >= 0:
            found.append(symbol)
        elif state < 0:
            raise HuffmanError("the end-of-string symbol is inside a string")
        state, symbol, may_end = machine[state][byte & 15]
        if symbol >= 0:
            found.append(symbol)
        elif state < 0:
            raise HuffmanError("the end-of-string symbol is inside a string")
    if not may_end:
        raise HuffmanError("a string has wrong padding")
    return bytes(found)


def encode(text: bytes) -> bytes:
    """`text` coded, padded with ones."""
    bits = count = 0
    for byte in text:
        length = _LENGTHS[byte]
        bits = bits << length | _CODES[byte]
        count += length
    padding = -count % 8
    return ((bits + 1 << padding) - 1).to_bytes((count + padding) // 8, "big")
