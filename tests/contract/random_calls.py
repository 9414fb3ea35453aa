"""Random calls over the whole KV, Lease and Watch surface, wrong ones among them.

The keys are few, so that calls meet each other. Revisions are drawn around the current one, which `now` follows. Left
out is what a real etcd does not survive or leaves to chance: a key deleted and put again with its value kept in one
transaction (panics), watches from revision -1 (which make others lose events, #20693), leases that end within the run,
more keys than its unstable sort keeps in order (12).
"""

import random
from typing import Any

from kvstore.pb import rpc_pb2 as pb

KEYS = (b"a", b"ab", b"b", b"ba", b"c", b"d", b"d\0", b"\0", b"\xff", b"")
ENDS = (b"", b"", b"", b"\0", b"\0", b"b", b"c", b"d\xff", b"a")
VALUES = (b"", b"x", b"y", b"zz", b"x\0")
LEASES = (1, 2, 3, 77)
TTL = 100_000

Call = tuple[str, Any]
"""Method and request."""


class RandomCalls:
    """Draws calls from `rng`; hypothesis gives one that it can shrink."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 1
        self.compacted = 0
        self.is_deleting = False

    def key(self) -> bytes:
        # The empty key, last, is refused nearly everywhere.
        return self.rng.choice(KEYS[:-1]) if self.rng.random() < 0.97 else b""

    def around(self, behind: int = 8, ahead: int = 1) -> int:
        """A revision near the current one."""
        return self.now + self.rng.randint(-behind, ahead)

    def sometimes(self, share: float) -> bool:
        return self.rng.random() < share

    # -- what changes the state

    def change(self) -> Call:
        pick = self.rng.random()
        if pick < 0.4:
            return "KV/Put", self.put()
        if pick < 0.52:
            return "KV/DeleteRange", self.delete()
        if pick < 0.86:
            return "KV/Txn", self.txn()
        if pick < 0.93:
            return "Lease/LeaseGrant", self.grant()
        return "Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=self.rng.choice((*LEASES, 0, -1)))

    def put(self) -> pb.PutRequest:
        keep = 0.02 if self.is_deleting else 0.15
        ignore_value = not self.is_deleting and self.sometimes(keep)
        ignore_lease = not self.is_deleting and self.sometimes(keep)
        has_value = not ignore_value or self.sometimes(0.1)
        has_lease = self.sometimes(0.35) and (not ignore_lease or self.sometimes(0.1))
        return pb.PutRequest(
            key=self.key(),
            value=self.rng.choice(VALUES) if has_value else b"",
            lease=self.rng.choice(LEASES) if has_lease else 0,
            prev_kv=self.sometimes(0.5),
            ignore_value=ignore_value,
            ignore_lease=ignore_lease,
        )

    def delete(self) -> pb.DeleteRangeRequest:
        return pb.DeleteRangeRequest(
            key=self.key(),
            range_end=self.rng.choice(ENDS) if self.sometimes(0.3) else b"",
            prev_kv=self.sometimes(0.5),
        )

    def grant(self) -> pb.LeaseGrantRequest:
        ttl = self.rng.choice((TTL, TTL + 1, 9_000_000_000, 9_000_000_001))
        return pb.LeaseGrantRequest(ID=self.rng.choice(LEASES), TTL=ttl)

    def compaction(self) -> pb.CompactionRequest:
        revision = self.rng.choice(
            (self.around(), self.around(), self.now, self.compacted, 0, -1, self.now + 5)
        )
        # Compat: a store that was never compacted takes 0 in etcd, once.
        if revision == self.compacted == 0:
            revision = -1
        return pb.CompactionRequest(revision=revision, physical=self.sometimes(0.5))

    def txn(self) -> pb.TxnRequest:
        self.is_deleting = self.sometimes(0.5)
        txn = self._txn(2)
        self.is_deleting = False
        if self.sometimes(0.02):
            # One more than allowed, or exactly as many.
            count = self.rng.choice((128, 129))
            txn.failure.extend([pb.RequestOp(request_range=self.range())] * count)
        return txn

    def _txn(self, depth: int) -> pb.TxnRequest:
        rng = self.rng
        return pb.TxnRequest(
            compare=[self.compare() for _ in range(rng.randint(0, 2))],
            success=[self.operation(depth) for _ in range(rng.randint(0, 3))],
            failure=[self.operation(depth) for _ in range(rng.randint(0, 2))],
        )

    def operation(self, depth: int) -> pb.RequestOp:
        pick = self.rng.random()
        if pick < 0.4:
            return pb.RequestOp(request_put=self.put())
        if pick < 0.55 and self.is_deleting:
            return pb.RequestOp(request_delete_range=self.delete())
        if pick < 0.8 or not depth:
            return pb.RequestOp(request_range=self.range())
        if pick < 0.81:
            return pb.RequestOp()
        return pb.RequestOp(request_txn=self._txn(depth - 1))

    def compare(self) -> pb.Compare:
        rng = self.rng
        target = rng.randrange(5)
        compare = pb.Compare(
            target=target,  # type: ignore[arg-type]
            result=rng.randrange(4),  # type: ignore[arg-type]
            key=self.key(),
            range_end=rng.choice(ENDS),
        )
        # Now and then the number is of another target, or missing.
        field = target if self.sometimes(0.95) else rng.randrange(5)
        if field == 0:
            compare.version = rng.randint(0, 3)
        elif field in (1, 2):
            name = "create_revision" if field == 1 else "mod_revision"
            setattr(compare, name, max(0, self.around()))
        elif field == 3:
            compare.value = rng.choice(VALUES)
        elif self.sometimes(0.8):
            compare.lease = rng.choice((0, *LEASES))
        return compare

    # -- what only looks

    def look(self) -> Call:
        pick = self.rng.random()
        if pick < 0.75:
            return "KV/Range", self.range()
        if pick < 0.85:
            return "KV/Txn", pb.TxnRequest(
                compare=[self.compare() for _ in range(self.rng.randint(0, 2))],
                success=[pb.RequestOp(request_range=self.range())],
                failure=[pb.RequestOp(request_range=self.range())],
            )
        if pick < 0.95:
            request = pb.LeaseTimeToLiveRequest(
                ID=self.rng.choice((*LEASES, 0, -1)), keys=self.sometimes(0.7)
            )
            return "Lease/LeaseTimeToLive", request
        return "Lease/LeaseLeases", pb.LeaseLeasesRequest()

    def range(self) -> pb.RangeRequest:
        rng = self.rng

        def bound(share: float) -> int:
            return self.around(10, 2) if self.sometimes(share) else 0

        revision = 0
        if self.sometimes(0.35):
            revision = rng.choice((self.around(), self.around(), self.compacted, -1, 1))
        return pb.RangeRequest(
            key=self.key(),
            range_end=rng.choice(ENDS),
            limit=rng.choice((0, 0, 0, 1, 2, 3, 100, -1)),
            revision=revision,
            sort_order=rng.choice((0, 0, 1, 2)),  # type: ignore[arg-type]
            sort_target=rng.choice((0, 0, 1, 2, 3, 4)),  # type: ignore[arg-type]
            serializable=self.sometimes(0.5),
            keys_only=self.sometimes(0.2),
            count_only=self.sometimes(0.1),
            min_mod_revision=bound(0.08),
            max_mod_revision=bound(0.08),
            min_create_revision=bound(0.05),
            max_create_revision=bound(0.05),
        )

    # -- watches

    def watch(self) -> pb.WatchCreateRequest:
        rng = self.rng
        start = rng.choice((0, 0, self.around(12, 0), self.around(0, 4), self.compacted, 1))
        start = max(0, start)
        return pb.WatchCreateRequest(
            key=self.key(),
            range_end=rng.choice(ENDS),
            start_revision=start,
            watch_id=rng.choice((0, 0, 0, 1, 5, 6)),
            prev_kv=self.sometimes(0.5),
            progress_notify=self.sometimes(0.3),
            fragment=self.sometimes(0.3),
            filters=rng.choice(([], [], [], [0], [1], [0, 1])),
        )
