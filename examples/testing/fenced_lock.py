"""The same lock with a fencing token: who lost the lock without knowing cannot do harm any more.

The token is the revision that created the lock's key. The write is a transaction that asks whether the key still is
the one this holder made; if it is not, nothing is written, and the holder learns that its time is over.
"""

from typing import Any

from kvstore.client.ops import compare_create, op_put


class LostLock(Exception):
    """The lock has passed to somebody else."""


class FencedLock:
    """Holds `key` while a lease lasts, and knows its `token`."""

    def __init__(self, client: Any, key: str, *, ttl_seconds: int = 1) -> None:
        self.client, self.key = client, key.encode()
        self.lease = client.lease_grant(ttl_seconds).id
        self.token = 0

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it."""
        answer = self.client.txn(
            [compare_create(self.key, "=", 0)], [op_put(self.key, b"held", lease=self.lease)]
        )
        self.token = answer.revision if answer.succeeded else 0
        return bool(answer.succeeded)


def add_line(client: Any, line: str, lock: FencedLock) -> None:
    """Read, change, write back, if the lock is still ours at the moment of the write. Raises LostLock."""
    found = client.get("ledger").kvs
    before = found[0].value.decode() if found else ""
    answer = client.txn(
        [compare_create(lock.key, "=", lock.token)], [op_put(b"ledger", (before + line).encode())]
    )
    if not answer.succeeded:
        raise LostLock("the lock has passed to somebody else")
