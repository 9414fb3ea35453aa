"""The response header: which cluster, which member, which revision, which term.

Encoded by hand because every response carries one; ids never change, so their bytes are made once.
"""

from collections.abc import Callable

from kvstore.pb import rpc_pb2 as pb

_ONE_BYTE = tuple(bytes((number,)) for number in range(0x80))


def varint(number: int) -> bytes:
    """Protobuf's base-128 form of a number; negative ones as 64-bit two's complement."""
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    if 0 <= number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if 0 <= number < 0x20_0000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def with_length(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag + varint(len(body)) + body


class Header:
    """Makes headers of one member. `term` and `revision` are asked when one is made."""

    def __init__(
        self,
        cluster_id: int,
        member_id: int,
        term: Callable[[], int],
        revision: Callable[[], int],
    ) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self.term = term
        self.current_revision = revision
        self._ids = b"\x08" + varint(cluster_id) + b"\x10" + varint(member_id)
        # Reads between two writes share their header.
        self._last = (-1, -1, b"")

    def message(self, revision: int | None = None) -> pb.ResponseHeader:
        """As a message; `revision` None = the store's newest here."""
        return pb.ResponseHeader(
            cluster_id=self.cluster_id,
            member_id=self.member_id,
            revision=self.current_revision() if revision is None else revision,
            raft_term=self.term(),
        )

    def encoded(self, revision: int) -> bytes:
        """As field 1 of a response, with its tag and length."""
        term = self.term()
        last = self._last
        if last[0] == revision and last[1] == term:
            return last[2]
        body = self._ids
        if revision:
            body += b"\x18" + varint(revision)
        if term:
            body += b"\x20" + varint(term)
        data = b"\x0a" + varint(len(body)) + body
        self._last = (revision, term, data)
        return data
