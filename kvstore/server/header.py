"""The response header: which cluster, which member, which revision, which term.

Encoded by hand because every response carries one; ids never change, so their bytes are made once.
"""

from collections.abc import Callable

from kvstore.pb import rpc_pb2 as pb


def varint(number: int) -> bytes:
    """Protobuf's base-128 form of a number; negative ones as 64-bit two's complement."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


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
        body = self._ids
        if revision:
            body += b"\x18" + varint(revision)
        term = self.term()
        if term:
            body += b"\x20" + varint(term)
        return b"\x0a" + varint(len(body)) + body
